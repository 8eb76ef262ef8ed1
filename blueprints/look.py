"""What the panel beside the form shows: services with reasons and memory, and what somebody still has to bring. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from blueprints.context import generation_facts
from blueprints.findings import Finding
from blueprints.resolve import Resolution


@dataclass(frozen=True, slots=True)
class Service:
    """One component, in words. `through` holds the answers that drag it in, where none asks for it by itself."""

    name: str
    title: str
    summary: str
    reasons: tuple[str, ...]
    memory_mib: int
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToBring:
    """Something only a person can get."""

    name: str
    title: str
    why: str
    where_to_get: str
    pattern: str
    copy: str = ""
    copy_title: str = ""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Something the applications insist on, though nothing here uses it; nobody is asked for it."""

    name: str
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """The panel."""

    services: tuple[Service, ...]
    memory_mib: int
    to_bring: tuple[ToBring, ...]
    findings: tuple[Finding, ...]
    web_origin: str
    size_words: str
    placeholders: tuple[Placeholder, ...] = ()


def look_at(resolution: Resolution) -> Look:
    """The panel for a resolution."""
    services = tuple(
        Service(c.name, c.manifest.title, c.manifest.summary, c.reasons, c.memory_mib, c.through) for c in resolution.components
    )
    redirect = generation_facts(resolution)["login"]["callbacks"].get("discord", "")
    bring = []
    for name, secret in resolution.secrets.items():
        if secret.kind != "supplied":
            continue
        is_client = name == "discord-client-id"
        bring.append(
            ToBring(name, secret.manifest.title, secret.manifest.why, secret.manifest.where_to_get, secret.manifest.pattern,
                    redirect if is_client else "", "Enter this redirect address there, exactly" if is_client else "")
        )  # fmt: skip
    return Look(
        services,
        sum(s.memory_mib for s in services),
        tuple(bring),
        resolution.findings,
        resolution.ways[0].web_origin,
        resolution.size.words,
        tuple(Placeholder(n, s.manifest.title, s.manifest.why) for n, s in resolution.secrets.items() if s.kind == "placeholder"),
    )
