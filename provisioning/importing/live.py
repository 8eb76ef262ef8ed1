"""A live swarm -> an estate. Reads and never changes; what cannot be read is a remark with its address, and the rest is read on."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from blueprints.compose import Part, ServiceArgs
from blueprints.estate.catalogue import Known, known_services
from blueprints.estate.model import Estate, Item, Kind, Origin, Remark
from blueprints.estate.routers import routes_of
from blueprints.estate.secrecy import scan_text, without_secrets
from blueprints.estate.withholding import withheld_option
from provisioning.importing.normalise import RULES, differences
from provisioning.providers.swarm import config, network, secret, volume
from provisioning.providers.swarm.client import ORG
from provisioning.providers.swarm.service_spec import args_of, networks_of, spec_for
from sprocket_v2.errors import SprocketError

Data = Mapping[str, Any]
_PREDEFINED = frozenset({"ingress", "docker_gwbridge", "bridge", "host", "none"})
_ANONYMOUS = 64  # a volume nobody named is called by so many hex digits
LEFT = "left"  # the fact that says why a service is left alone
READ: tuple[Kind, ...] = ("network", "volume", "config", "secret", "service")


class Engine(Protocol):
    """What is asked of an engine; `provisioning.providers.swarm.client` has it."""

    def everything(self, kind: str) -> list[Data]:
        """All objects of a kind."""
        ...

    def network_name(self, network_id: str) -> str:
        """A network's name by its id."""
        ...


@dataclass(frozen=True, slots=True)
class LiveEstate:
    """What a swarm holds.

    Attributes:
        normalised: rule -> how often it was applied; each is said in the estate's remarks too.
        managed: Docker names that belong to an organization of this control plane, with its slug; they are not taken over.
    """

    estate: Estate
    normalised: Mapping[str, int]
    managed: Mapping[str, str]


def read_live(engine: Engine, key: bytes, name: str = "live", *, mine: Collection[str] = (), only: str = "") -> LiveEstate:
    """Read everything.

    Args:
        key: the organization's key for values that are taken out (`Sealer.withhold_key`).
        name: what to call the source.
        mine: organizations whose label means that an object is to be taken over; one with another's label is that one's.
        only: a pattern that the name of a service has to match whole, so that a part of a swarm can be taken over; empty for all.
    """
    return _Reading(engine, key, name, frozenset(mine), only).read()


class _Reading:
    """One pass over an engine."""

    def __init__(self, engine: Engine, key: bytes, name: str, mine: frozenset[str], only: str) -> None:
        self.engine, self.key, self.name, self.mine = engine, key, name, mine
        self.only = re.compile(only) if only else None
        self.remarks: list[Remark] = []
        self.normalised: dict[str, int] = {}
        self.managed: dict[str, str] = {}
        self.networks: dict[str, str] = {}

    def read(self) -> LiveEstate:
        items: list[Item] = []
        counts: dict[str, int] = {}
        structure: dict[str, int] = {}
        for kind in READ:
            found = self._asked(kind)
            counts[kind] = len(found)
            for data in found:
                name = _name_of(data)
                if kind == "network":
                    self.networks[str(data["Id"])] = name
                if kind == "service" and self.only and not self.only.fullmatch(name):
                    structure["services that were not asked for"] = structure.get("services that were not asked for", 0) + 1
                    counts[kind] -= 1
                    continue
                if reason := _structure(kind, data, name):
                    structure[reason] = structure.get(reason, 0) + 1
                    counts[kind] -= 1
                    continue
                items += self._read_one(kind, data, name)
        items += [route for item in items if item.kind == "service" for route in routes_of(item)]
        counts["route"] = sum(item.kind == "route" for item in items)
        counts["structure"] = sum(structure.values())
        self.remarks += [
            Remark(
                "import.normalised", "info", f"{rule.title}: {self.normalised[rule.id]} times ({rule.id}).", "It stays as it is.", self.name
            )
            for rule in RULES
            if rule.id in self.normalised
        ]
        estate = Estate(tuple(items), (self.name,), {self.name: counts}, tuple(self.remarks), {self.name: structure}, {self.name: {}})
        return LiveEstate(estate, dict(self.normalised), dict(self.managed))

    def _asked(self, kind: Kind) -> list[Data]:
        try:
            return self.engine.everything(kind)
        except SprocketError as error:
            self._remark("import.source-gone", "warning", f"no {kind} could be read: {error.message}", error.hint, f"{self.name} {kind}")
            return []

    def _read_one(self, kind: Kind, data: Data, name: str) -> Iterator[Item]:
        try:
            item = self._item(kind, data, name)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = f"{self.name} {kind}/{name}"
            self._remark(
                "import.unreadable", "warning", f"{kind} {name} could not be read ({type(error).__name__})", "look at it with docker", where
            )
            item = Item(kind, name, Origin("live", self.name, f"{kind}/{name}"), completeness="name")
        slug = _labels_of(data).get(ORG, "")
        if slug and slug not in self.mine:
            self.managed[name] = slug
            note = Remark(
                "import.managed",
                "info",
                f"{name} belongs to organization {slug}",
                "it is not taken over; un-adopt or remove it there first",
                str(item.origin),
            )
            item = replace(item, remarks=(*item.remarks, note))
        yield item

    def _item(self, kind: Kind, data: Data, name: str) -> Item:
        identity = str(data.get("ID") or data.get("Id") or name)
        origin = Origin("live", self.name, f"{kind}/{name} {identity[:12]}")
        if kind == "service":
            return self._service(data, name, identity, origin)
        parts: dict[Kind, Callable[[], tuple[Part, dict[str, Any]]]] = {
            "network": lambda: _network(data),
            "volume": lambda: _volume(data, lambda option, value: withheld_option(option, value, self.key)),
            "config": lambda: _config(data),
            "secret": lambda: _secret(data),
        }
        part, about = parts[kind]()
        remarks = [*self._config_remarks(data, str(origin))] if kind == "config" else []
        remarks += [_not_modelled(name, path, str(origin)) for path in _beyond(kind, data)]
        known = _known(name, "", kind)
        if known:
            about = {**about, "component": known.component}
        return Item(
            kind, name, origin, known.layer if known else "", part=part, facts=about, completeness="partial" if part.withheld else "full", engine_id=identity, remarks=tuple(remarks)
        )  # fmt: skip

    def _service(self, data: Data, name: str, identity: str, origin: Origin) -> Item:
        spec = data["Spec"]
        clear = replace(args_of(spec, self._network_name, ""), adopted=identity)
        args, why = without_secrets(clear, self.key)
        counts, unknown = differences(spec, spec_for(clear, lambda _kind, wanted: self._id_of(wanted, spec)))
        for rule, times in counts.items():
            self.normalised[rule] = self.normalised.get(rule, 0) + times
        remarks = [_not_modelled(name, path, str(origin)) for path in unknown]
        remarks += [
            Remark(
                "secret.in-clear", "warning", f"{name}: {field} is in clear ({reason})", "rotate it, and give it as a secret", str(origin)
            )
            for field, reason in why.items()
        ]
        known = _known(name, args.image, "service")
        facts = {"component": known.component, "why": _why(known, name)} if known else {}
        facts |= {LEFT: reason} if (reason := _cannot_be_said(spec)) else {}
        return Item(
            "service", name, origin, known.layer if known else "", service=args, facts=facts, engine_id=identity, withheld=why,
            remarks=tuple(remarks),
        )  # fmt: skip

    def _id_of(self, name: str, spec: Data) -> str:
        """The id under which the service itself names a network, config or secret, so that only what differs otherwise shows."""
        container = spec["TaskTemplate"]["ContainerSpec"]
        ids = {item[f"{kind}Name"]: item[f"{kind}ID"] for kind in ("Config", "Secret") for item in container.get(f"{kind}s") or ()}
        attached = {self._network_name(str(n["Target"])): str(n["Target"]) for n in networks_of(spec)}
        return str(ids.get(name) or attached.get(name) or name)

    def _network_name(self, target: str) -> str:
        """The swarm's own face of the host's network is in no list, and known when asked for by its id."""
        if target not in self.networks:
            try:
                self.networks[target] = self.engine.network_name(target)
            except SprocketError:
                self.networks[target] = target
        return self.networks[target]

    def _config_remarks(self, data: Data, where: str) -> Iterator[Remark]:
        text = config.text_of(data)
        for found in scan_text(text):
            yield Remark(
                "secret.plaintext", "warning", f"line {found.line} of the config holds a secret ({found.kind})",
                "rotate it; its content is not kept here", where,
            )  # fmt: skip

    def _remark(self, rule: str, severity: Any, message: str, hint: str, where: str) -> None:  # noqa: ANN401 - one of three words
        self.remarks.append(Remark(rule, severity, message, hint, where))


def _known(name: str, image: str, kind: Kind) -> Known | None:
    """The service of the legacy layout that a thing is, or belongs to: by its own name, else by its image."""
    services = known_services()
    if kind == "service":
        return next((k for k in services if k.is_named(name)), None) or next((k for k in services if k.is_of(image)), None)
    return next((k for k in services if name.startswith(f"{k.docker_name}-") or k.is_named(name)), None)


def _why(known: Known, name: str) -> str:
    return f"it is called {known.docker_name}" if known.is_named(name) else f"it runs the image of {known.component}"


def _structure(kind: Kind, data: Data, name: str) -> str:
    """Why an object is no row of the estate; empty when it is one."""
    if kind == "network" and (name in _PREDEFINED or data.get("Scope") != "swarm"):
        return "networks of the engine's own"
    if kind == "volume" and len(name) == _ANONYMOUS and all(c in "0123456789abcdef" for c in name):
        return "volumes nobody named"
    return ""


def _cannot_be_said(spec: Data) -> str:
    """Why our values cannot hold a service, so that it is left alone; empty for nearly all."""
    other = sorted(set(spec.get("Mode") or ()) - {"Replicated", "Global"})
    kinds = sorted({str(m["Type"]) for m in spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or ()} - {"volume", "bind", "tmpfs"})
    return f"its mode is {other[0]}" if other else f"it has a mount of type {kinds[0]}" if kinds else ""


def _beyond(kind: Kind, data: Data) -> Iterator[str]:
    """What a network or volume has and our values do not hold. The engine's own numbers of an overlay network are none of it."""
    if kind == "network":
        ipam = data.get("IPAM") or {}
        pools = ipam.get("Config") or [{}]
        options = sorted(key for key in data.get("Options") or {} if not key.endswith(".vxlanid_list"))
        yield from (f"Options.{key}" for key in options)
        yield from (["Driver"] if data.get("Driver", "overlay") != "overlay" else [])
        yield from (["EnableIPv6"] if data.get("EnableIPv6") else [])
        yield from (["IPAM.Driver"] if ipam.get("Driver", "default") != "default" else [])
        yield from (["IPAM.Config"] if len(pools) > 1 or pools[0].get("IPRange") else [])
    if kind == "volume" and data.get("Driver", "local") != "local":
        yield "Driver"


def _not_modelled(name: str, path: str, where: str) -> Remark:
    message = f"{name}: {path} is not among what is modelled"
    return Remark("import.not-modelled", "info", message, "it stays as it is when the service is changed", where)


def _name_of(data: Data) -> str:
    return str(data.get("Name") or data["Spec"]["Name"])


def _labels_of(data: Data) -> Mapping[str, str]:
    found: Mapping[str, str] = data.get("Labels") or (data.get("Spec") or {}).get("Labels") or {}
    return found


def _network(data: Data) -> tuple[Part, dict[str, Any]]:
    args = network.adopted_args(data)
    return Part(args.name, args.name, args.labels, internal=args.internal, subnet=args.subnet, attachable=args.attachable), {}


def _volume(data: Data, withhold: Callable[[str, str], str]) -> tuple[Part, dict[str, Any]]:
    args = volume.adopted_args(data, withhold)
    return Part(args.name, args.name, args.labels, driver_options=args.driver_options), {}


def _config(data: Data) -> tuple[Part, dict[str, Any]]:
    args = config.adopted_args(data)
    return Part(args.name, args.name, args.labels, external=True, withheld=True), {"fingerprint": args.fingerprint}


def _secret(data: Data) -> tuple[Part, dict[str, Any]]:
    args = secret.adopted_args(data)
    return Part(args.name, args.name, args.labels, external=True, withheld=True), {"fingerprint": args.fingerprint}


def is_adoptable(item: Item, estate: Estate, managed: Mapping[str, str]) -> bool:
    """Whether an item can be looked after: it was read whole, is nobody else's, and somebody uses it or knows it."""
    if (
        item.kind not in READ
        or LEFT in item.facts
        or not item.engine_id
        or item.name in managed
        or (item.service is None and item.part is None)
    ):
        return False
    return item.kind == "service" or item.name in _used(estate) or "component" in item.facts


def _used(estate: Estate) -> set[str]:
    services: list[ServiceArgs] = [item.service for item in estate.of("service") if item.service]
    return {name for args in services for name in (
        *(n.name for n in args.networks), *(m.source for m in args.mounts), *(c.name for c in args.configs), *(s.name for s in args.secrets)
    )}  # fmt: skip
