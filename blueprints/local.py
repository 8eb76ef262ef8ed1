"""Local additions as part of a deployment: the organization's own services become a pseudo component `local`, checked against the rest.

Pure. Nothing of the release changes by them: what would is refused, with both sides named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blueprints.access import WayIn
from blueprints.catalog import LOCAL, Catalog
from blueprints.lock import UNRESOLVED, LockedImage
from blueprints.manifest import Health, ImageManifest, Input, Manifest, SecretManifest, ServiceManifest
from orgs.additions import MAX_SERVICES, RELEASE, LocalService, memory_mib, seconds_of
from orgs.fragment import parse_fragment
from orgs.grammar import image_parts, shown
from orgs.needs import Needs
from sprocket_v2.errors import ResolveError

# What a bundle's own files are called; `hold-*.yml` lies over stack.yml.
BUNDLE_NAMES = frozenset({"stack.yml", "blueprint.json", "blueprint.lock.json", "secrets.json", "RUNBOOK.md", "fill.sh", "deploy.sh"})
_DEADLINE_S = 120


class Deployed(Protocol):
    """What is looked at of a resolved component."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, bool | int | str]: ...
    @property
    def services(self) -> tuple[ServiceManifest, ...]: ...


@dataclass(frozen=True, slots=True)
class LocalPart:
    """The pseudo component before it is resolved: `services` and `images` by the key a service has in stack.yml."""

    manifest: Manifest
    reasons: tuple[str, ...]
    inputs: Mapping[str, bool | int | str]
    images: Mapping[str, LockedImage]
    services: Mapping[str, LocalService]


def local_key(name: str) -> str:
    """The key in stack.yml of a service that the additions call so."""
    return f"{LOCAL}_{name}"


def local_part(
    needs: Needs, attachments: Mapping[str, bytes], components: Sequence[Deployed], ways: tuple[WayIn, ...], catalog: Catalog
) -> LocalPart | None:
    """The organization's own services; None where there are none.

    Raises:
        ResolveError: a file that is not there, a name or a port that is taken. NeedsError: the fragment is wrong.
    """
    services = {**needs.additions.services, **_of_file(needs, attachments)}
    if len(services) > MAX_SERVICES:
        raise ResolveError(
            f"additions: {len(services)} services, the most is {MAX_SERVICES}",
            hint="more than a handful is a release of your own: copy the templates, and add component folders",
            where="additions.services",
        )
    if not services:
        return None
    _refuse_taken_names(services, catalog)
    _refuse_taken_ports(services, components, ways)
    first = image_parts(next(iter(services.values())).image)
    manifest = Manifest(
        name=LOCAL,
        title="Local additions",
        summary="Services of this organization's own, beside those of the release.",
        layer="apps",
        role=LOCAL,
        interruption="What the organization added itself does not answer.",
        noticed_by="staff",
        backup="Nothing of this release saves what its volumes hold: whoever added it does.",
        profiles=(needs.profile,),
        image=ImageManifest(first[0], first[1], ""),
        subdomain=None,
        port=0,
        routed_service="",
        wanted_when=(),
        requires=(),
        requires_one_of=(),
        left_out_when=(),
        inputs=tuple(_inputs(services)),
        secrets=tuple(_secrets(services)),
        services=tuple(_service(name, service) for name, service in services.items()),
        path="additions",
    )
    return LocalPart(
        manifest,
        (f"added by this organization: {', '.join(services)}",),
        {item.name: item.default for item in manifest.inputs},
        {local_key(name): _image(service) for name, service in services.items()},
        {local_key(name): service for name, service in services.items()},
    )


def refuse_set_by_the_release(needs: Needs, components: Sequence[Deployed], catalog: Catalog) -> None:
    """Refuse an environment value for a service that is not there, or under a name that the release sets."""
    owners = {service.key: component.name for component in components for service in component.services}
    for key, values in needs.additions.environment.items():
        where = f"additions.environment.{key}"
        if key not in owners:
            raise ResolveError(
                f"{where}: no service of this deployment is called so",
                hint=f"one of {', '.join(sorted(owners))}; a service of your own has its environment with it",
                where=where,
            )
        for name in values:
            place = catalog.environment.get(owners[key], {}).get(name)
            if place:
                raise ResolveError(
                    f"{where}.{name}: the release sets {name} itself, in {place}",
                    hint=f"choose another name, or answer the need behind it; {RELEASE}",
                    where=f"{where}.{name}",
                )


def _of_file(needs: Needs, attachments: Mapping[str, bytes]) -> dict[str, LocalService]:
    name, where = needs.additions.file, "additions.file"
    if name is None:
        return {}
    if name in BUNDLE_NAMES or name.startswith("hold-"):
        raise ResolveError(
            f"{where}: {name} is what the bundle's own file is called, and no addition overwrites a file of the release",
            hint=f"call it local.yml; {RELEASE}",
            where=where,
        )
    content = attachments.get(name)
    if content is None:
        raise ResolveError(f"{where}: {name} is not there", hint="put it beside the needs file, or attach it", where=where)
    if needs.additions.sha256 and hashlib.sha256(content).hexdigest() != needs.additions.sha256:
        raise ResolveError(f"{where}: {name} is not the file of additions.sha256", hint="attach that file", where=where)
    services = parse_fragment(content, name)
    twice = sorted(set(services) & set(needs.additions.services))
    if twice:
        raise ResolveError(
            f"service {shown(twice[0])} is in {name} and in additions.services",
            hint="keep one of the two",
            where=f"additions.services.{twice[0]}",
        )
    return services


def _refuse_taken_names(services: Mapping[str, LocalService], catalog: Catalog) -> None:
    released = {s.key: m.path for m in catalog.components.values() for s in m.services} | {n: m.path for n, m in catalog.components.items()}
    for name in services:
        if name in released:
            raise ResolveError(
                f"service {shown(name)} is the release's ({released[name]}): an addition changes nothing of it",
                hint=f"give yours another name; a value for {name} goes under additions.environment.{name}; {RELEASE}",
                where=f"additions.services.{name}",
            )


def _refuse_taken_ports(services: Mapping[str, LocalService], components: Sequence[Deployed], ways: tuple[WayIn, ...]) -> None:
    entry = {port for way in ways for port in (way.port, way.api_port)} | ({80} if any(way.tls for way in ways) else set())
    taken = {("tcp", port): "the way in" for port in entry}
    taken |= {("udp", port): "the way in" for port in entry}
    for component in components:
        for service in component.services:
            if service.udp_port:
                taken["udp", int(component.inputs[service.udp_port])] = service.key
    for name, own in services.items():
        for port in own.ports:
            user = taken.get((port.protocol, port.published))
            if user:
                raise ResolveError(
                    f"service {shown(name)} publishes port {port.published}, which {user} uses already",
                    hint="publish another port",
                    where=f"additions.services.{name}.ports",
                )
            taken[port.protocol, port.published] = f"service {shown(name)}"


def _inputs(services: Mapping[str, LocalService]) -> Iterator[Input]:
    for name, service in services.items():
        limits = service.deploy.resources.limits
        text = "The most it may use, as its fragment says."
        yield Input(f"{name}_memory_mib", "integer", f"Memory of {name}", text, memory_mib(limits.memory), None, None, "MiB", "")
        if limits.cpus is not None:
            yield Input(
                f"{name}_cpu_percent", "integer", f"Processor of {name}", text, round(float(limits.cpus) * 100), None, None, "%", ""
            )


def _secrets(services: Mapping[str, LocalService]) -> Iterator[SecretManifest]:
    users: dict[str, list[str]] = {}
    for name, service in services.items():
        for secret in service.secrets:
            users.setdefault(secret.source, []).append(name)
    for secret_name, names in sorted(users.items()):
        yield SecretManifest(
            name=secret_name,
            title=secret_name.removeprefix("local-").replace("-", " ").capitalize(),
            why=f"The local addition {', '.join(names)} reads it.",
            kind="supplied",
            length=0,
            pattern="",
            where_to_get="Whoever added the service knows.",
            placeholder="",
            supplied_when=(),
        )


def _service(name: str, service: LocalService) -> ServiceManifest:
    alone = bool(service.ports or service.volumes)  # what holds a port or a volume cannot run twice, not even for a moment
    health = service.healthcheck
    return ServiceManifest(
        key=local_key(name),
        stage="apps",
        networks=tuple(service.networks),
        aliases=(f"{LOCAL}-{name}",),
        memory=f"{name}_memory_mib",
        cpu=f"{name}_cpu_percent" if service.deploy.resources.limits.cpus is not None else "",
        replicas=service.deploy.replicas,
        copies="",
        deadline_s=_DEADLINE_S,
        stop_grace_s=seconds_of(service.stop_grace_period),
        secrets={secret.source: secret.path for secret in service.secrets},
        configs={},
        volumes={f"{name}-{volume.source}": volume.target for volume in service.volumes},
        only_with={},
        only_when={},
        tmpfs=tuple(service.tmpfs),
        publishes_entry_ports=False,
        udp_port="",
        health=Health(
            test=tuple(health.test) if health else (),
            interval_s=seconds_of(health.interval) if health else 0,
            timeout_s=seconds_of(health.timeout) if health else 0,
            retries=health.retries if health else 0,
            start_period_s=seconds_of(health.start_period) if health else 0,
            none="" if health else "A local addition without a healthcheck.",
        ),
        order="stop-first" if alone else "start-first",
        gap_s=10 if alone else 0,
        wanted_when=(),
        image=ImageManifest(*image_parts(service.image)[:2], ""),
        probe=None,
    )


def _image(service: LocalService) -> LockedImage:
    name, tag, digest = image_parts(service.image)
    return LockedImage(name, tag, digest or UNRESOLVED)
