"""The control plane's own secret store: sealed versions in the database, and what a bundle's `secrets.json` asks of them.

The only writer of Secret and SecretVersion. Values leave it towards an engine operation's standard input and nowhere else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from blueprints.secret_files import generate, problem_with
from orgs.actions import record
from orgs.models import Organization
from provisioning.models import Secret, SecretVersion, StackState
from provisioning.seal import Sealer, make_master_key, read_master_key
from sprocket_v2.errors import ApplyError

MAX_LENGTH = 64 * 1024
_NAME = re.compile(r"\A[a-z][a-z0-9-]{1,62}\Z")
_PASSPHRASE = "state-passphrase"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of a bundle's secrets.json."""

    name: str
    title: str
    kind: str
    version: int
    length: int = 0
    placeholder: str = ""
    where_to_get: str = ""
    service: str = ""
    file: str = ""

    @property
    def is_collected(self) -> bool:
        """A service of the deployment makes it and leaves it in a file; nobody has it before that runs."""
        return self.kind == "collected"

    @property
    def is_ours_to_make(self) -> bool:
        """Generated or placeholder: nobody has to bring it."""
        return self.kind in {"generated", "placeholder"}


def wanted_secrets(listed: Mapping[str, Mapping[str, Any]]) -> list[Wanted]:
    """The entries of `secrets.json`, under its key `secrets`."""
    return [
        Wanted(
            name=name,
            title=str(entry.get("title", name)),
            kind=str(entry["kind"]),
            version=int(entry["version"]),
            length=int(entry.get("length") or 0),
            placeholder=str(entry.get("placeholder") or ""),
            where_to_get=str(entry.get("where_to_get") or ""),
            service=str(entry.get("service") or ""),
            file=str(entry.get("file") or ""),
        )
        for name, entry in listed.items()
    ]


@lru_cache(maxsize=4)
def _sealer_of(path: str) -> Sealer:
    return Sealer(read_master_key(Path(path)))


def sealer() -> Sealer:
    """The sealer of this control plane's master key.

    Raises:
        SetupError: the key file is missing, readable by others, or no key.
    """
    path = Path(settings.SPROCKET_MASTER_KEY_FILE)
    if not path.exists():
        make_key_at_setup()
    return _sealer_of(str(path))


def make_key_at_setup() -> bool:
    """Make the master key of a control plane that has sealed nothing yet; True when it is new, to be shown once.

    Raises:
        SetupError: something is sealed already, so the key was lost and a new one would open none of it.
    """
    path = Path(settings.SPROCKET_MASTER_KEY_FILE)
    if path.exists():
        return False
    if SecretVersion.objects.exists() or StackState.objects.exists():
        read_master_key(path)  # says that it is missing, and what that means
    return make_master_key(path)


def set_secret(*, org: Organization, name: str, value: str, actor: Any, pattern: str = "", via: str = "web") -> SecretVersion:  # noqa: ANN401 - rows of orgs
    """Store a value as the next version; the same value again makes none.

    Args:
        pattern: what the value must look like, from the component's manifest; empty for anything.
    Raises:
        ApplyError: too short, too long, not like the pattern, or a name outside the grammar. The value is in no message.
    """
    value = value.replace("\r\n", "\n")  # as browsers send several lines, and Windows keeps them
    refuse_bad_value(name, value, pattern)
    fingerprint = sealer().fingerprint(org.slug, name, value)
    with transaction.atomic():
        secret, _ = Secret.objects.get_or_create(organization=org, name=name)
        last: SecretVersion | None = secret.versions.order_by("-version").first()
        if last and last.fingerprint == fingerprint:
            return last
        row = _store(secret, (last.version if last else 0) + 1, value, actor)
        record(org=org, actor=actor, what="secret set", detail=f"{name} version {row.version}", via=via)
    return row


def forget_secret(*, org: Organization, name: str, actor: Any, via: str = "web") -> None:  # noqa: ANN401
    """Remove a secret with all its versions; one that is not there is no error."""
    with transaction.atomic():
        count, _ = Secret.objects.for_org(org).filter(name=name).delete()
        if count:
            record(org=org, actor=actor, what="secret removed", detail=name, via=via)


def refuse_bad_value(name: str, value: str, pattern: str = "") -> None:
    """Raise ApplyError when a value cannot be this secret's."""
    where = f"secret {name}"
    if not _NAME.match(name):
        raise ApplyError("a secret's name is made of a-z, 0-9 and -", hint="take the name from `sprocket secret list`", where=where)
    problem = problem_with(value, pattern) if len(value) <= MAX_LENGTH else f"has more than {MAX_LENGTH} characters"
    if problem:
        raise ApplyError(f"the value {problem}", hint="copy the whole value, and nothing but it", where=where)


def secret_versions(org: Organization) -> dict[str, int]:
    """The latest version of each secret that has a value."""
    rows = SecretVersion.objects.for_org(org).order_by("version").values_list("secret__name", "version")
    return dict(rows)


def missing_secrets(org: Organization, wanted: Iterable[Wanted]) -> list[Wanted]:
    """Those somebody has to bring and nobody has brought yet."""
    have = set(_rows(org))
    return [item for item in wanted if not (item.is_ours_to_make or item.is_collected) and (item.name, item.version) not in have]


def keep_collected(org: Organization, item: Wanted, value: str) -> bool:
    """Seal what a service of the deployment made; True when it is new. A value that was known before is left alone, so that one
    which a person set later stays the newest.

    Raises:
        ApplyError: it is no value a secret may have.
    """
    fingerprint = sealer().fingerprint(org.slug, item.name, value)
    if SecretVersion.objects.for_org(org).filter(secret__name=item.name, fingerprint=fingerprint).exists():
        return False
    set_secret(org=org, name=item.name, value=value, actor=None, via="run")
    return True


def withhold_key(slug: str) -> bytes:
    """The organization's key under which an import withholds values; the organization need not be there yet."""
    return sealer().withhold_key(slug)


def is_kept(org: Organization, item: Wanted) -> bool:
    """Whether the version the bundle names is in the store."""
    return (item.name, item.version) in _rows(org)


def make_ready(org: Organization, wanted: Iterable[Wanted], *, actor: Any = None) -> None:  # noqa: ANN401
    """Make what is ours to make; refuse when something is missing that a person has to bring.

    Raises:
        ApplyError: names every missing secret and how to set it. Nothing was started.
    """
    listed = list(wanted)
    missing = missing_secrets(org, listed)
    if missing:
        raise _missing_error(org.slug, missing)
    have = set(_rows(org))
    for item in listed:
        if item.is_ours_to_make and (item.name, item.version) not in have:
            _make(org, item, actor)


def values_for(org: Organization, wanted: Iterable[Wanted]) -> dict[str, str]:
    """`<org>/<name>@<version>` -> value, for the run's secret socket."""
    rows, opener = _rows(org), sealer()
    return {
        f"{org.slug}/{item.name}@{item.version}": opener.open(org.slug, item.name, item.version, rows[item.name, item.version].sealed)
        for item in wanted
        if not item.is_collected or (item.name, item.version) in rows
    }


def fingerprints_for(org: Organization, wanted: Iterable[Wanted]) -> dict[str, str]:
    """Name -> keyed fingerprint of the version the bundle names; sixty-four zeros for one that is not there yet.

    One that is collected keeps the zeros: a plan is made before its value is there, and would not allow another. Its version tells a change.
    """
    rows = _rows(org)
    known = {item.name: rows.get((item.name, item.version)) for item in wanted if not item.is_collected}
    return {item.name: row.fingerprint if (row := known.get(item.name)) else "0" * 64 for item in wanted}


def stack_state(org: Organization) -> StackState:
    """The organization's stack row, made with a new passphrase when it is the first time."""
    found: StackState | None = StackState.objects.for_org(org).first()
    if found:
        return found
    sealed = sealer().seal(org.slug, _PASSPHRASE, 1, secrets.token_urlsafe(32))
    row: StackState
    row, _ = StackState.objects.get_or_create(organization=org, defaults={"sealed_passphrase": sealed})
    return row


def passphrase_of(org: Organization) -> str:
    """The passphrase of the organization's engine state."""
    return sealer().open(org.slug, _PASSPHRASE, 1, stack_state(org).sealed_passphrase)


def _rows(org: Organization) -> dict[tuple[str, int], SecretVersion]:
    rows = SecretVersion.objects.for_org(org).select_related("secret")
    return {(row.secret.name, row.version): row for row in rows}


def _make(org: Organization, item: Wanted, actor: Any) -> None:  # noqa: ANN401
    value = item.placeholder or generate(item.length)
    secret, _ = Secret.objects.get_or_create(organization=org, name=item.name)
    try:
        with transaction.atomic():
            _store(secret, item.version, value, actor)
    except IntegrityError:
        return  # somebody else was first: that value counts


def _store(secret: Secret, version: int, value: str, actor: Any) -> SecretVersion:  # noqa: ANN401
    org = secret.organization
    return SecretVersion.objects.create(
        organization=org,
        secret=secret,
        version=version,
        sealed=sealer().seal(org.slug, secret.name, version, value),
        fingerprint=sealer().fingerprint(org.slug, secret.name, value),
        author=actor,
    )


def _missing_error(slug: str, missing: list[Wanted]) -> ApplyError:
    names = ", ".join(item.name for item in missing)
    ways = "; ".join(f"`sprocket secret set {slug} {item.name}` ({item.where_to_get or item.title})" for item in missing)
    count = "1 secret is" if len(missing) == 1 else f"{len(missing)} secrets are"
    return ApplyError(f"{count} missing: {names}", hint=f"set each on the secrets page, or: {ways}", where=f"secrets of {slug}")
