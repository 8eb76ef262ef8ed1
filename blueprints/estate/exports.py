"""What a Pulumi stack export says an estate is made of: rows, structure, and everything that does not fit together. Pure.

Every resource is exactly one of: a row of the ledger, structure (counted, no row), or refused (counted, with its place). Routes and
external dependencies are read out of resources and are rows of their own. deployment.py reads the file and takes the secrets out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from blueprints.compose import Part
from blueprints.estate.deployment import (
    LIMITS,
    MAX_URN,
    Limits,
    PendingOperation,
    Resource,
    Unreadable,
    read_deployment,
    read_text,
)
from blueprints.estate.export_services import service_args
from blueprints.estate.model import Estate, Item, Kind, Origin, Remark
from blueprints.estate.opening import UNKNOWN, Exposed
from blueprints.estate.reading import Reading
from blueprints.estate.routers import routers_in, routes_of
from blueprints.estate.rules import capped, remark
from blueprints.estate.secrecy import scan_text, withheld
from orgs.grammar import shown

LAYER_OF_PROJECT = {"layer_1": "layer_1", "layer_2": "layer_2", "platform": "platform"}
MAX_CONTENT = 256 * 1024  # of one configuration file; Docker itself takes less than a MiB
STRUCTURE, UNREADABLE = "structure", "unreadable"

# Which resource type is which row. Types are written without their module's file, so `docker:index/service:Service` is found here.
_ROWS: tuple[tuple[str, Kind], ...] = (
    (r"docker:index/service:Service", "service"),
    (r"docker:index/network:Network", "network"),
    (r"docker:index/volume:Volume", "volume"),
    (r"docker:index/serviceConfig:ServiceConfig", "config"),
    (r"docker:index/secret:Secret", "secret"),
    (r"minio:index/s3Bucket:S3Bucket|aws:s3/bucket(V2)?:Bucket(V2)?|digitalocean:index/spacesBucket:SpacesBucket", "bucket"),
    (r"postgresql:index/(database:Database|role:Role|schema:Schema)", "database"),
    (
        r"vault:[^:]+:(Mount|Policy|SecretV2|Secret|AuthBackend|Team|GithubTeam|SecretBackendConnection|SecretBackendRole|SecretsMount)",
        "vault",
    ),
)
_STRUCTURE = re.compile(
    r"pulumi:(pulumi|providers):.*|random:.*|tls:.*|time:.*|command:.*|docker:index/(remoteImage|registryImage|image|tag):.*"
    r"|postgresql:index/(grant|grantRole|defaultPrivileg\w*|extension):.*|minio:index/(s3BucketPolicy|iam\w*):.*|aws:s3/bucketPolicy:.*|vault:[^:]*token[^:]*:.*"
)
_ROW_PATTERNS = tuple((re.compile(pattern), kind) for pattern, kind in _ROWS)
# Providers that reach something outside of the estate, and where they say what it is called.
_OUTSIDE = {"postgresql": "host", "minio": "minioServer", "vault": "address", "digitalocean": "spacesEndpoint"}
# Where a service's secret field stands in the resource -> what ServiceArgs calls it.
_FIELDS = (
    ("taskSpec.containerSpec.env", "environment"), ("taskSpec.containerSpec.args", "command"), ("taskSpec.containerSpec.commands", "entrypoint"),
    ("taskSpec.containerSpec.command", "entrypoint"), ("taskSpec.containerSpec.labels", "container_labels"), ("taskSpec.logDriver.options", "log_options"),
)  # fmt: skip


@dataclass(slots=True)
class _Found:
    """What was found so far in one source."""

    name: str
    items: list[Item] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    structure: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    parents: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    plaintext: int = 0
    sealed: int = 0

    def note(self, rule: str, message: str, address: str) -> None:
        """A remark about the source."""
        self.remarks.append(remark(rule, message, f"{self.name} {address}".strip()))


def read_export(source: BinaryIO | bytes, name: str, key: bytes, *, org: str = "", limits: Limits = LIMITS) -> Estate:
    """An estate out of one `pulumi stack export`.

    Args:
        source: the file's bytes, or the open file; never more of it is read than the limit.
        name: what the source is called in the ledger and in errors.
        key: the organization's, under which values that look secret are withheld.
        org: the organization the import is for; an export of another one is remarked.
    Raises:
        EstateError: the source as a whole cannot be read. Nothing else makes it fail.
    """
    found = _Found(name)
    for row in read_deployment(read_text(source, name, limits), name, key, limits):
        if isinstance(row, PendingOperation):
            found.note("export.pending-operation", f"{row.operation} was not finished", row.urn)
        elif isinstance(row, Unreadable):
            kind = _kind(row.type, is_custom=True) if row.type else UNREADABLE
            found.counted[kind] += 1
            found.refused[kind] += 1
            found.note("export.unreadable", row.problem, row.address)
        else:
            _take(row, found, key)
    _remark_whole(found, org)
    return Estate(
        tuple(found.items),
        (name,),
        {name: dict(found.counted)},
        capped(found.remarks, name),
        {name: dict(found.structure)},
        {name: dict(found.refused)},
    )


def _kind(type_name: str, *, is_custom: bool) -> str:
    """A row's kind; a custom resource of an unknown type is something outside, to be decided by a person."""
    if not is_custom or _STRUCTURE.fullmatch(type_name):
        return STRUCTURE
    return next((kind for pattern, kind in _ROW_PATTERNS if pattern.fullmatch(type_name)), "external")


def _take(resource: Resource, found: _Found, key: bytes) -> None:
    kind = _kind(resource.type, is_custom=resource.is_custom)
    found.counted[kind] += 1
    found.plaintext += resource.plaintext
    found.sealed += len(resource.sealed)
    if resource.urn in found.parents and not resource.is_leaving:
        found.refused[kind] += 1
        found.note("export.duplicate-urn", "this URN is given twice, and neither waits for its deletion", resource.urn)
        return
    if not resource.is_leaving:
        found.parents[resource.urn] = resource.parent
    found.links += [(resource.urn, "parent", resource.parent)] if resource.parent else []
    found.links += [(resource.urn, "dependency", urn) for urn in resource.dependencies]
    found.links += [(resource.urn, "provider", resource.provider.rpartition("::")[0])] if resource.provider else []
    outside = _outside(resource)
    if kind == STRUCTURE:
        found.structure[resource.type] += 1
        found.remarks += _secret_remarks(resource, found.name)
    else:
        item = _item(kind, resource, found, key)  # type: ignore[arg-type]  # every other kind is one of the model's
        found.items.append(item)
        routes = routes_of(item)
        found.counted["route"] += len(routers_in(_labels(resource)))
        found.items += routes
    if outside:
        found.counted["external"] += 1
        origin = Origin("export", found.name, resource.urn)
        found.items.append(
            Item("external", outside, origin, _layer(resource), facts={"provider": resource.type.rpartition(":")[2]}, completeness="name")
        )


def _outside(resource: Resource) -> str:
    """What a provider reaches outside of the estate; empty for other resources."""
    provider = resource.type.removeprefix("pulumi:providers:")
    place = _OUTSIDE.get(provider, "") if provider != resource.type else ""
    value = resource.inputs.get(place) or resource.outputs.get(place)
    if not place or not isinstance(value, str) or not value or value == UNKNOWN:
        return ""
    host = urlsplit(value if "//" in value else f"//{value}")
    try:
        return f"{provider} {host.hostname or value}"
    except ValueError:
        return provider


def _labels(resource: Resource) -> dict[str, str]:
    return Reading().texts(resource.outputs.get("labels") or resource.inputs.get("labels"), "labels")


def _layer(resource: Resource) -> str:
    return LAYER_OF_PROJECT.get(resource.project, "")


def _properties(resource: Resource) -> dict[str, Any]:
    """What the engine read back, and what the program asked for where nothing was."""
    return {**resource.inputs, **{name: value for name, value in resource.outputs.items() if value not in (None, "", [], {})}}


def _item(kind: Kind, resource: Resource, found: _Found, key: bytes) -> Item:
    properties = _properties(resource)
    origin = Origin("export", found.name, resource.urn)
    facts: dict[str, Any] = {"pulumi_name": resource.name, "type": resource.type}
    name = properties.get("name")
    item = Item(
        kind,
        name if isinstance(name, str) and name and name != UNKNOWN else resource.name,
        origin,
        _layer(resource),
        facts=facts,
        engine_id=resource.id if resource.type.startswith("docker:") else "",
        withheld=_withheld(resource),
        is_leaving=resource.is_leaving,
        remarks=_secret_remarks(resource, found.name),
    )
    if resource.is_leaving:
        item = _noted(item, "export.pending-delete", "it waits for its deletion")
    if kind == "service":
        return _service(item, properties)
    if kind in ("network", "volume", "config", "secret"):
        return _part(item, resource, properties, key)
    if kind == "external":
        item = _noted(item, "export.unknown-type", f"type {shown(resource.type)} is not known")
        return replace(item, completeness="name")
    return _other(item, properties)


def _noted(item: Item, rule: str, message: str) -> Item:
    return replace(item, remarks=(*item.remarks, remark(rule, message, str(item.origin))))


def _service(item: Item, properties: Mapping[str, Any]) -> Item:
    reading = Reading()
    args = service_args(properties, reading)
    args = replace(args, name=item.name)
    reading.wrong += [] if args.image or "image" in reading.unknown else ["image"]
    encrypted = sorted(set(reading.unknown))
    for name in encrypted:
        item = _noted(item, "secret.encrypted", f"{name}: value unknown, encrypted with a key that is not here")
    if reading.wrong:
        item = _noted(
            item, "service.unread", f"not as a service's should be, left out: {', '.join(map(shown, sorted(set(reading.wrong))[:12]))}"
        )
    if reading.unread:
        item = _noted(item, "service.unread", f"not taken over: {', '.join(sorted(set(reading.unread)))}")
    why = {**item.withheld, **dict.fromkeys(encrypted, "encrypted with a key that is not here")}
    is_partial = bool(encrypted or reading.wrong or reading.unread)
    return replace(item, service=args, withheld=why, completeness="partial" if is_partial else "full")


def _part(item: Item, resource: Resource, properties: Mapping[str, Any], key: bytes) -> Item:
    reading = Reading()
    part = Part(
        key=resource.name,
        name=item.name,
        labels=reading.texts(properties.get("labels"), "labels"),
        internal=properties.get("internal") is True,
        subnet=_subnet(properties, reading),
        driver_options=reading.texts(properties.get("driverOpts") or properties.get("options"), "driver_options"),
        attachable=properties.get("attachable") is True,
        withheld=item.kind == "secret",
    )
    driver = reading.text(properties.get("driver"), "driver")
    item = replace(item, part=part, facts={**item.facts, **({"driver": driver} if driver else {})})
    if item.kind == "config":
        return _config(item, part, properties.get("data"), key)
    if item.kind == "secret":
        return replace(item, completeness="partial", facts={**item.facts, "value": "withheld"})
    return item


def _subnet(properties: Mapping[str, Any], reading: Reading) -> str:
    pools = reading.items(properties.get("ipamConfigs"), "subnet")
    return reading.text(reading.mapping(pools[0], "subnet").get("subnet"), "subnet") if pools else ""


def _config(item: Item, part: Part, data: Any, key: bytes) -> Item:  # noqa: ANN401 - JSON
    """A Docker config: decoded, scanned, and kept only where nothing in it looks secret."""
    if data == UNKNOWN or data is None:
        item = _noted(item, "secret.encrypted", "content: value unknown, encrypted with a key that is not here")
        return replace(item, part=replace(part, withheld=True), completeness="partial", withheld={**item.withheld, "content": "encrypted"})
    text, problem = decoded(data)
    if problem:
        item = _noted(item, "config.unreadable", f"its content is {problem}")
        return replace(item, part=replace(part, withheld=True), completeness="partial")
    secrets = scan_text(text)
    if not secrets:
        return replace(item, facts={**item.facts, "text": text})
    reference = withheld(text, key)
    for hit in secrets[:20]:
        what = f"{hit.name}: {hit.kind}" if hit.name else hit.kind
        item = _noted(item, "secret.in-config", f"line {hit.line}: {what}; the content is kept as {reference} only")
    why = {**item.withheld, **{f"content:{hit.line}": hit.kind for hit in secrets[:20]}}
    return replace(
        item, part=replace(part, withheld=True), completeness="partial", withheld=why, facts={**item.facts, "fingerprint": reference}
    )


def decoded(data: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    """A config's text out of its base64, or what is wrong with it."""
    if not isinstance(data, str):
        return "", "no text"
    if len(data) > MAX_CONTENT * 4 // 3 + 4:
        return "", f"larger than {MAX_CONTENT // 1024} KiB"
    try:
        return base64.b64decode(data, validate=True).decode(), ""
    except (binascii.Error, ValueError):
        return "", "no base64 of UTF-8 text"


def _other(item: Item, properties: Mapping[str, Any]) -> Item:
    """A bucket, a database's part, a path of Vault: its name and a few plain facts."""
    reading = Reading()
    kind = item.facts["type"].rpartition(":")[2]
    named = next((properties[k] for k in ("bucket", "path", "team") if isinstance(properties.get(k), str) and properties[k]), "")
    facts = {name: reading.text(properties[name], name) for name in _PLAIN_FACTS if isinstance(properties.get(name), (str, int, bool))}
    name = item.name if properties.get("name") else (named or item.name)
    return replace(
        item,
        name=f"{kind.lower()} {name}" if item.kind == "database" and kind != "Database" else name,
        facts={**item.facts, "what": kind, **facts},
    )


_PLAIN_FACTS = ("type", "acl", "region", "owner", "database", "encoding", "login", "version", "description", "backend", "mount")


def _withheld(resource: Resource) -> dict[str, str]:
    """Field -> why, for values that stood in clear."""
    return {_field(hit.path): hit.why for hit in resource.exposed}


def _field(path: str) -> str:
    """A path within a resource as the field of the item."""
    inside = path.partition(".")[2] or path
    for place, name in _FIELDS:
        if inside == place or inside.startswith(f"{place}."):
            return name + inside.removeprefix(place)
    return inside


def _secret_remarks(resource: Resource, source: str) -> tuple[Remark, ...]:
    """One for each field that stood in clear, whether the engine marked it or it only looks secret."""
    by_field: dict[str, Exposed] = {}
    for hit in resource.exposed:
        known = by_field.get(_field(hit.path))
        if known is None or (hit.is_marked and not known.is_marked):
            by_field[_field(hit.path)] = hit
    return tuple(
        remark(
            "secret.plaintext" if hit.is_marked else "secret.in-clear",
            f"{name}: {hit.why}; kept as {hit.reference}",
            f"{source} {resource.urn}",
        )
        for name, hit in by_field.items()
    )


def _remark_whole(found: _Found, org: str) -> None:
    """What does not fit together within the source, each with its URN, then the sums."""
    broken: Counter[str] = Counter()
    for urn, what, target in found.links:
        if target not in found.parents:
            broken[what] += 1
            found.note(f"export.dangling-{what}", f"{what} {target if _is_address(target) else shown(target)} is not in the export", urn)
    for urn in _in_circles(found.parents):
        found.note("export.cyclic-parent", "its parents go round in a circle", urn)
    if broken:
        sums = ", ".join(f"{number} to a {what}" for what, number in sorted(broken.items()))
        found.note("export.integrity", f"the state does not hold together: {sum(broken.values())} entries lead nowhere: {sums}", "")
    if found.plaintext:
        found.note("export.secrets-shown", f"{found.plaintext} secrets stand in it in plaintext", "")
    _remark_origin(found, org)


def _is_address(text: str) -> bool:
    return len(text) <= MAX_URN and text.isprintable()


def _in_circles(parents: Mapping[str, str]) -> tuple[str, ...]:
    """Every URN that is its own parent's parent, over however many steps."""
    done: set[str] = set()
    circles: dict[str, None] = {}
    for start in parents:
        trail: dict[str, None] = {}
        urn = start
        while urn in parents and urn not in done and urn not in trail:
            trail[urn] = None
            urn = parents[urn]
        if urn in trail:
            seen = list(trail)
            circles |= dict.fromkeys(seen[seen.index(urn) :])
        done.update(trail)
    return tuple(circles)


def _remark_origin(found: _Found, org: str) -> None:
    stacks = Counter((urn.split("::")[1], urn.split("::")[0].removeprefix("urn:pulumi:")) for urn in found.parents)
    if not stacks:
        return
    (project, stack), _ = stacks.most_common(1)[0]
    if len(stacks) > 1:
        names = ", ".join(shown(f"{p}/{s}") for p, s in sorted(stacks)[:6])
        found.note("export.mixed-stacks", f"resources of {len(stacks)} stacks: {names}", "")
    if org and project == "sprocket" and stack != org and not stack.startswith(f"{org}-"):
        found.note("export.other-organization", f"stack {shown(stack)} belongs to another organization than {org}", "")
    elif project not in LAYER_OF_PROJECT:
        found.note("export.other-project", f"project {shown(project)} is none of the estate's ({', '.join(LAYER_OF_PROJECT)})", "")
