"""What an engine operation of an organization is made of: bundle on disk, state address, passphrase, secret values, fingerprints.

Reads rows and writes the run's folder; starts nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

from blueprints.estate.adoption import FILE as ADOPTION
from blueprints.layers import stack_name
from blueprints.models import Blueprint
from blueprints.rendering import Rendering, digest_of, write_bundle
from blueprints.vault_files import read_vault
from orgs.models import Organization
from provisioning import secret_store
from provisioning.models import Run
from provisioning.operations import Request, Verb
from provisioning.state import PROJECT, checkpoint_file, digest_over, stored_digest
from provisioning.state_copies import StateCopies
from provisioning.states import FINISHED
from sprocket_v2.errors import SetupError, StaleError

KEPT_FOLDERS = 20
Basis = Literal["live", "empty-host"]


@dataclass(frozen=True)
class Material:
    """One rendering of one organization, ready to be handed to the engine."""

    org: Organization
    rendering: Rendering
    wanted: tuple[secret_store.Wanted, ...]
    run_dir: Path

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the rendering's stacks, in the order they are applied; one empty name where there is one stack."""
        return tuple(name for name, _ in self.rendering.stacks)

    def folder(self, layer: str) -> Path:
        """Where operations on a layer keep their journal, state exports and plan."""
        return self.run_dir / "layers" / layer if layer else self.run_dir

    @cached_property
    def openers(self) -> frozenset[str]:
        """Names of the secrets that open a secret server: tokens, and keys; none where no layer keeps anything in one."""
        folders = [str(entry["vault"]) for entry in self.rendering.blueprint.get("stacks") or () if entry.get("vault")]
        return frozenset(name for folder in folders for name in read_vault(folder, self.rendering.files).opened_by)

    def _handed_over(self, op: Verb) -> tuple[secret_store.Wanted, ...]:
        """Values go to the child only where something is made from them; what opens a secret server, wherever it is asked."""
        if op == "apply":
            return self.wanted
        return tuple(item for item in self.wanted if item.name in self.openers and secret_store.is_kept(self.org, item))

    def request(self, op: Verb, *, layer: str = "", basis: Basis = "live", **more: Any) -> Request:  # noqa: ANN401 - fields of Request
        """The engine's request; secret values only where something is made from them."""
        slug = self.org.slug
        return Request(
            op=op,
            org=slug,
            stack=stack_name(slug, layer),
            layer=layer,
            bundle_dir=str(self.run_dir / "bundle"),
            state_url=state_url(slug) if basis == "live" else _empty_state(self.run_dir),
            run_dir=str(self.folder(layer)),
            pulumi=str(find_engine()),
            passphrase=secret_store.passphrase_of(self.org) if basis == "live" else "a preview against nothing",
            secrets=secret_store.values_for(self.org, self._handed_over(op)),
            fingerprints=secret_store.fingerprints_for(self.org, self.wanted),
            fingerprint_key=secret_store.sealer().fingerprint_key(slug).hex() if self.openers else "",
            withhold_key=secret_store.sealer().withhold_key(slug).hex() if ADOPTION in self.rendering.files else "",
            basis=basis,
            docker_host=os.environ.get("DOCKER_HOST", ""),
            **more,
        )


def rendering_of(blueprint: Blueprint) -> Rendering:
    """A stored blueprint's files, checked against its digest.

    Raises:
        StaleError: the rows are not what the digest says.
    """
    rendering = Rendering({file.path: file.text for file in blueprint.files.all()})
    listed = {item["path"]: item["sha256"] for item in rendering.blueprint["files"]}
    changed = [path for path, sha256 in listed.items() if digest_of(rendering.files.get(path, "")) != f"sha256:{sha256}"]
    if rendering.digest != blueprint.digest or changed:
        raise StaleError(
            f"the stored files of blueprint {blueprint.number} are not what its digest says",
            hint="make the blueprint again from the needs",
            where=", ".join(changed) or "blueprint.json",
        )
    return rendering


@contextmanager
def material(org: Organization, rendering: Rendering, name: str) -> Iterator[Material]:
    """Lay the bundle out in a run's folder; the bundle is removed afterwards, journal and state exports stay.

    Args:
        name: of the folder under `runs/`, e.g. the run's id.
    """
    run_dir = data_dir() / "runs" / name
    for folder in (data_dir() / "runs", run_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = tuple(secret_store.wanted_secrets(rendering.secrets))
    write_bundle(rendering, run_dir / "bundle")
    shutil.rmtree(run_dir / "empty-state", ignore_errors=True)
    try:
        yield Material(org, rendering, wanted, run_dir)
    finally:
        shutil.rmtree(run_dir / "bundle", ignore_errors=True)


def drop_old_folders(org: Organization) -> None:
    """Journals and exports of an organization's newest runs stay; those of older ones go, or the disk would fill up in the end."""
    there = {int(path.name) for path in (data_dir() / "runs").glob("*") if path.name.isdecimal()}
    kept = Run.objects.for_org(org).order_by("-pk").values_list("pk", flat=True)[:KEPT_FOLDERS]
    old = Run.objects.for_org(org).filter(pk__in=there, state__in=FINISHED).exclude(pk__in=list(kept)).values_list("pk", flat=True)
    for run in old:
        shutil.rmtree(data_dir() / "runs" / str(run), ignore_errors=True)


def data_dir() -> Path:
    """The folder all data lives under."""
    return Path(settings.SPROCKET_DATA_DIR)


def state_url(slug: str) -> str:
    """Where the engine keeps this organization's state: a prefix of its own (rule 27)."""
    base = str(settings.SPROCKET_STATE_URL or "")
    if not base:
        folder = data_dir().resolve() / "state" / slug
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder.as_uri()
    parts = urlsplit(base)
    url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{slug}"))
    if parts.scheme == "file":
        Path(urlsplit(url).path).mkdir(parents=True, exist_ok=True, mode=0o700)
    return url


def known_state_digest(slug: str, layers: Iterable[str] = ("",)) -> str:
    """The digest over the layers' states without starting the engine; empty when that cannot be had."""
    return digest_over({layer: stored_digest(state_url(slug), PROJECT, stack_name(slug, layer)) for layer in layers})


def has_state(slug: str, layers: Iterable[str]) -> bool:
    """Whether a state is known of one of the layers."""
    return any(stored_digest(state_url(slug), PROJECT, stack_name(slug, layer)) for layer in layers)


def state_copies(slug: str, stack: str) -> StateCopies | None:
    """The copies of one stack's state; None where the state is elsewhere."""
    file = checkpoint_file(state_url(slug), PROJECT, stack)
    return StateCopies(file, data_dir() / "state-copies" / slug / stack) if file else None


def all_state_copies(slug: str) -> list[StateCopies]:
    """Those of every stack the organization has a state or a copy of."""
    file = checkpoint_file(state_url(slug), PROJECT, slug)
    states = [path.stem for path in file.parent.glob("*.json")] if file else []
    copied = [path.name for path in (data_dir() / "state-copies" / slug).glob("*")]
    return [copies for stack in sorted({*states, *copied}) if (copies := state_copies(slug, stack))]


def secret_versions_of(rendering: Rendering) -> Mapping[str, int]:
    """Secret name -> version, as the blueprint's lock says."""
    versions: Mapping[str, int] = rendering.lock["secrets"]
    return versions


def find_engine() -> Path:
    """The Pulumi CLI: named by SPROCKET_PULUMI, on PATH, or in the project's cache (D10).

    Raises:
        SetupError: none of them.
    """
    named = os.environ.get("SPROCKET_PULUMI") or shutil.which("pulumi")
    if named:
        return Path(named).absolute()
    cache = Path(os.environ.get("SPROCKET_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sprocket")
    found = sorted((path for path in cache.glob("pulumi/*/pulumi") if os.access(path, os.X_OK)), key=_version_of)
    if not found:
        raise SetupError(
            "the engine (Pulumi) is not here",
            hint="`make setup` fetches or builds it; `sprocket doctor` says how far it is",
            where=str(cache),
        )
    return found[-1]


def _version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in path.parent.name.split("."))


def _empty_state(run_dir: Path) -> str:
    """A state with nothing in it: a preview without Docker is made against an empty host."""
    folder = run_dir / "empty-state"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder.resolve().as_uri()
