"""An estate that was read live -> the bundle of its organization: the same services in the same words, and the adoption record. Pure.

The bundle says what runs, so that a preview finds nothing to do. What somebody changes later is laid over the live specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from blueprints.compose import NAMESPACE, Part, ServiceArgs, read_stack
from blueprints.estate.adoption import CONTRACT, fingerprint_of
from blueprints.estate.adoption import FILE as ADOPTION
from blueprints.estate.model import LAYERS, Estate, Item, Kind
from blueprints.estate.store import plain
from blueprints.rendering import LOCK, MANIFEST, SECRETS, Rendering, digest_of, json_text
from orgs.needs import Needs
from sprocket_v2.errors import RenderError

Plain = dict[str, Any]
RenderFile = Callable[[str, str, str, Mapping[str, Any]], str]
TEMPLATE = "components/_adopted/stack.yml.j2"
RUNBOOK = "bundle/adopted/RUNBOOK.md.j2"
_PARTS: tuple[Kind, ...] = ("network", "volume", "config", "secret")
_ADOPTED: tuple[Kind, ...] = (*_PARTS, "service")


def adopted_bundle(
    needs: Needs, needs_digest: str, release: str, estate: Estate, render_file: RenderFile, titles: Mapping[str, str]
) -> Rendering:
    """The bundle.

    Args:
        estate: only what is to be looked after; everything has an engine id.
        render_file: the one way to a template.
        titles: component -> its title, of those the release knows.
    Raises:
        RenderError: what was written does not read back as what was read.
    """
    slug, files, record = needs.slug, dict[str, str](), dict[str, Plain]()
    home = _homes(estate)
    stacks = []
    for layer in LAYERS:
        items = [item for item in estate.items if item.kind in _ADOPTED and home[item.kind, item.name] == layer]
        if not items:
            continue
        path = f"{layer}/stack.yml"
        files[path] = render_file(TEMPLATE, path, "compose", _values(items, estate, home, layer))
        _check(files[path], slug, path, items)
        record |= _record(items, layer)
        stacks.append({"name": layer, "title": layer, "file": path, "vault": "", "outputs": {}, "references": {}})
    files[ADOPTION] = json_text({"resources": record})
    files[SECRETS] = json_text({"secrets": {}})
    files[LOCK] = json_text({"images": {}, "secrets": {}})
    told = {"name": needs.name, "slug": slug, "services": [item.name for item in estate.of("service")], "withheld": _withheld(estate)}
    files["RUNBOOK.md"] = render_file(RUNBOOK, "RUNBOOK.md", "markdown", told)
    files[MANIFEST] = json_text(
        {
            "schema": 1, "organization": {"slug": slug, "name": needs.name}, "profile": needs.profile, "contract": CONTRACT,
            "template_release": release, "needs_digest": needs_digest, "images": needs.applications, "stacks": stacks,
            "components": list(_components(estate, titles)), "routes": [], "findings": _findings(estate),
            "local": {"services": [], "environment": {}},
            "files": [{"path": p, "sha256": digest_of(t).removeprefix("sha256:"), "template": ""} for p, t in sorted(files.items())],
        }
    )  # fmt: skip
    return Rendering(files)


def _homes(estate: Estate) -> dict[tuple[str, str], str]:
    """(kind, name) -> its layer: a service's own, and of what services use, the first that uses it, since later ones may refer to it."""
    home: dict[tuple[str, str], str] = {(item.kind, item.name): _layer_of(item) for item in estate.items}
    users: dict[tuple[str, str], list[str]] = {}
    for item in estate.of("service"):
        for used in _uses(item.service) if item.service else ():
            users.setdefault(used, []).append(_layer_of(item))
    return home | {used: min(layers, key=LAYERS.index) for used, layers in users.items() if used in home}


def _uses(args: ServiceArgs) -> Iterable[tuple[str, str]]:
    yield from (("network", n.name) for n in args.networks)
    yield from (("volume", m.source) for m in args.mounts if m.type == "volume" and m.source)
    yield from (("config", c.name) for c in args.configs)
    yield from (("secret", s.name) for s in args.secrets)


def _layer_of(item: Item) -> str:
    return item.layer if item.layer in LAYERS else LAYERS[-1]


def _values(items: Sequence[Item], estate: Estate, home: Mapping[tuple[str, str], str], layer: str) -> Plain:
    services = [item for item in items if item.kind == "service" and item.service]
    args = [item.service for item in services if item.service]
    used = {name for a in args for name in _uses(a)}
    parts = {
        kind: {
            item.name: item.part for item in estate.of(kind) if item.part and (home[kind, item.name] == layer or (kind, item.name) in used)
        }
        for kind in _PARTS
    }
    # What a service uses and nobody looks after: the host's own network, another organization's, a volume of another machine.
    foreign = {kind: {name: {"name": name, "external": True} for of, name in sorted(used) if of == kind} for kind in _PARTS}
    return {
        "services": [_service(item.service, item) for item in services if item.service],
        "networks": foreign["network"] | {name: _network(part, home["network", name] != layer) for name, part in parts["network"].items()},
        "volumes": foreign["volume"] | {name: _volume(part, home["volume", name] != layer) for name, part in parts["volume"].items()},
        "configs": foreign["config"] | {name: _value(part) for name, part in parts["config"].items()},
        "secrets": foreign["secret"] | {name: _value(part) for name, part in parts["secret"].items()},
    }


def _network(part: Part, is_elsewhere: bool) -> Plain:
    if is_elsewhere:
        return {"name": part.name, "external": True}
    more: Plain = {"internal": True} if part.internal else {}
    more |= {"attachable": True} if part.attachable else {}
    more |= {"ipam": {"config": [{"subnet": part.subnet}]}} if part.subnet else {}
    return {"name": part.name, **more, "labels": dict(part.labels)}


def _volume(part: Part, is_elsewhere: bool) -> Plain:
    if is_elsewhere:
        return {"name": part.name, "external": True}
    options = {"driver_opts": dict(part.driver_options)} if part.driver_options else {}
    return {"name": part.name, **options, "labels": dict(part.labels)}


def _value(part: Part) -> Plain:
    """A config or secret: it is there, and its value is not ours to know."""
    return {"name": part.name, "external": True, "labels": dict(part.labels)}


def _service(args: ServiceArgs, item: Item) -> Plain:
    said: Plain = {
        "entrypoint": list(args.entrypoint),
        "command": list(args.command),
        "environment": dict(args.environment),
        "user": args.user,
        "hostname": args.hostname,
        "working_dir": args.working_dir,
        "stop_signal": args.stop_signal,
        "read_only": args.read_only,
        "cap_add": list(args.capabilities),
        "labels": dict(args.container_labels),
        "init": args.init,
        "healthcheck": _health(args),
        "secrets": [_mounted(i.name, i.target, i.mode, i.uid, i.gid) for i in args.secrets],
        "configs": [_mounted(i.name, i.target, i.mode, i.uid, i.gid) for i in args.configs],
        "volumes": [_mount(m.type, m.source, m.target, m.read_only) for m in args.mounts],
        "ports": [{"target": p.target, "published": p.published, "protocol": p.protocol, "mode": p.mode} for p in args.ports],
        "stop_grace_period": _s(args.stop_grace_s) if args.stop_grace_s else "",
        "logging": {"driver": args.log_driver, "options": dict(args.log_options)} if args.log_driver else {},
    }
    return {
        "key": item.name,
        "image": args.image,
        "said": {name: value for name, value in said.items() if value},
        "networks": [{"key": n.name, "aliases": list(n.aliases)} for n in args.networks],
        "deploy": _deploy(args),
        "ours": {"name": args.name, "component": str(item.facts.get("component", "")), "stage": "apps"},
    }


def _deploy(args: ServiceArgs) -> Plain:
    limits = _given({"memory": args.memory_bytes and str(args.memory_bytes), "cpus": args.nano_cpus and f"{args.nano_cpus / 1e9:.9f}"})
    reserved = _given(
        {
            "memory": args.reserved_memory_bytes and str(args.reserved_memory_bytes),
            "cpus": args.reserved_nano_cpus and f"{args.reserved_nano_cpus / 1e9:.9f}",
        }
    )
    update: Plain = {}
    if args.order:
        update = {"parallelism": args.update_parallelism, "order": args.order, "failure_action": args.failure_action}
        update |= {"monitor": _s(args.monitor_s)} if args.monitor_s else {}
    restart: Plain = {}
    if args.restart:
        restart = {"condition": args.restart, "delay": _s(args.restart_delay_s)}
        restart |= {"max_attempts": args.restart_attempts} if args.restart_attempts else {}
        restart |= {"window": _s(args.restart_window_s)} if args.restart_window_s else {}
    deploy: Plain = {
        "mode": args.mode,
        "endpoint_mode": args.endpoint_mode,
        "labels": dict(args.labels),
        "resources": _given({"limits": limits, "reservations": reserved}),
        "update_config": update,
        "restart_policy": restart,
        "placement": _given({"constraints": list(args.constraints), "max_replicas_per_node": args.max_per_node}),
    }
    if args.mode == "replicated":
        deploy["replicas"] = args.replicas
    return {name: value for name, value in deploy.items() if value or name == "replicas"}


def _given(values: Mapping[str, Any]) -> Plain:
    return {name: value for name, value in values.items() if value}


def _health(args: ServiceArgs) -> Plain:
    health = args.healthcheck
    if health is None:
        return {}
    return {"test": list(health.test), "interval": _s(health.interval_s), "timeout": _s(health.timeout_s), "retries": health.retries,
            "start_period": _s(health.start_period_s)}  # fmt: skip


def _mounted(name: str, target: str, mode: int, uid: str, gid: str) -> Plain:
    return {"source": name, "target": target, "mode": mode, "uid": uid, "gid": gid}


def _mount(kind: str, source: str, target: str, read_only: bool) -> Plain:
    return {"type": kind, **({"source": source} if source else {}), "target": target, **({"read_only": True} if read_only else {})}


def _s(seconds: float) -> str:
    """A duration as the reader takes it, to the nanosecond, which is how the engine counts."""
    ns = round(seconds * 10**9)
    return next(f"{ns // size}{unit}" for unit, size in (("s", 10**9), ("ms", 10**6), ("ns", 1)) if ns % size == 0)


def _record(items: Iterable[Item], layer: str) -> dict[str, Plain]:
    return {
        f"{item.kind}/{item.name}": {"id": item.engine_id, "name": item.name, "layer": layer, "fingerprint": _fingerprint(item)}
        for item in items
    }


def _fingerprint(item: Item) -> str:
    given = item.facts.get("fingerprint")
    return str(given) if given else fingerprint_of({"name": item.name, "what": plain(item.service or item.part)})


def _check(text: str, slug: str, path: str, items: Iterable[Item]) -> None:
    """The file read back gives every service as it was read: no text has become structure, and nothing was lost."""
    spec = read_stack(text, slug, is_estate=True)
    for item in items:
        if item.service is None:
            continue
        want = _without_ours(item.service)
        have = _without_ours(spec.services[item.name])
        if have != want:
            raise RenderError(
                f"{item.name}: the file says {have!r}, read was {want!r}",
                hint="please report it: the file does not hold this service",
                where=path,
            )


def _without_ours(args: ServiceArgs) -> ServiceArgs:
    labels = {key: value for key, value in args.labels.items() if key != NAMESPACE}
    networks = tuple(sorted(args.networks, key=lambda item: item.name))
    return replace(args, labels=labels, networks=networks, adopted="", image_id="")


def _components(estate: Estate, titles: Mapping[str, str]) -> Iterable[Plain]:
    for item in estate.of("service"):
        name = str(item.facts.get("component") or item.name)
        yield {
            "name": name, "title": titles.get(name, item.name), "role": name.removeprefix("legacy-"), "plays": [], "layer": _layer_of(item),
            "reasons": [str(item.facts.get("why") or "it was found running")], "through": [], "services": [item.name],
            "memory_mib": (item.service.memory_bytes // 1024**2) if item.service else 0, "inputs": {}, "interruption": "", "noticed_by": "nobody",
            "gap_s": 0, "backup": "",
        }  # fmt: skip


def _findings(estate: Estate) -> list[Plain]:
    return [
        {"severity": "warning" if r.severity == "block" else r.severity, "message": r.message, "hint": r.hint} for r in estate.all_remarks()
    ]


def _withheld(estate: Estate) -> list[Plain]:
    return [{"service": item.name, "field": field, "why": why} for item in estate.of("service") for field, why in item.withheld.items()]
