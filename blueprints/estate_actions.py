"""What a person can do with an imported estate: read sources, keep what was read, decide about rows. The only writers of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max

from blueprints.estate.ledger import Decision, Ledger, checked_decision, make_ledger
from blueprints.estate.ledger_words import counts_of
from blueprints.estate.model import Estate
from blueprints.estate.sources import Given, read_sources
from blueprints.estate.store import read_estate, write_estate
from blueprints.models import EstateImport, LedgerDecision
from orgs import access
from orgs.actions import record
from orgs.models import Organization
from sprocket_v2.errors import EstateError

# What the control plane's key store and engines know. Provisioning registers both at start, since it looks to the left and this package
# does not look to the right.
WithholdKey = Callable[[str], bytes]
ReadLive = Callable[[str, str], Estate]  # an engine's address (empty: this machine's), an organization's slug
_withhold_key: list[WithholdKey] = []
_read_live: list[ReadLive] = []


def know_the_estate(*, withhold_key: WithholdKey, read_live: ReadLive | None = None) -> None:
    """Register the key under which an organization's values are withheld, and who reads a live engine. Called once, by provisioning."""
    _withhold_key[:] = [withhold_key]
    _read_live[:] = [read_live] if read_live else []


def reads_live() -> bool:
    """Whether a live engine can be a source here."""
    return bool(_read_live)


def look(*, slug: str, files: Sequence[Given] = (), engines: Sequence[str] = ()) -> Estate:
    """The estate of these sources. Leaves no row, and changes nothing that it reads.

    Args:
        slug: whose import it is; the organization need not be there yet.
        engines: addresses of Docker Engines.
    Raises:
        EstateError: a source cannot be read; `where` names it.
    """
    if not _withhold_key:
        raise EstateError("the key store is not there", hint="run this where the control plane is installed", where="import")
    if engines and not _read_live:
        raise EstateError("a live engine cannot be read here", hint="bring stack exports and Compose files", where=engines[0])
    live = [_read_live[0](address, slug) for address in engines]
    return read_sources(files, _withhold_key[0](slug), org=slug, live=live)


def keep_import(*, org: Organization, estate: Estate, sources: Sequence[dict[str, Any]], actor: Any, via: str = "web") -> EstateImport:  # noqa: ANN401
    """Keep what was read as the organization's newest import.

    Args:
        sources: of each its name, what it is, and its size; for the record.
    Raises:
        DeniedError. EstateError: it is larger than is kept.
    """
    access.require(actor, org, "edit")
    text = write_estate(estate)
    with transaction.atomic():
        number = (EstateImport.objects.for_org(org).aggregate(last=Max("number"))["last"] or 0) + 1
        counts = counts_of(make_ledger(estate, decisions_of(org)))
        row = EstateImport.objects.create(
            organization=org, number=number, sources=list(sources), estate=text, counts=counts, author=actor
        )  # fmt: skip
        record(org=org, actor=actor, what="estate imported", detail=f"import {number}: {', '.join(estate.sources)}", via=via)
    return row


def newest_import(org: Organization) -> EstateImport | None:
    """The import that counts."""
    row: EstateImport | None = EstateImport.objects.for_org(org).order_by("-number").first()
    return row


def decisions_of(org: Organization) -> dict[str, Decision]:
    """Row's key -> the newest decision."""
    rows = LedgerDecision.objects.for_org(org).order_by("id")
    return {row.key: Decision(row.fate, row.reason, row.owner) for row in rows}


def ledger_of(org: Organization) -> Ledger | None:
    """The ledger of the newest import, decisions included; None where nothing was imported."""
    row = newest_import(org)
    return make_ledger(read_estate(row.estate, f"import {row.number}"), decisions_of(org)) if row else None


def decide(
    *,
    org: Organization,
    keys: Iterable[str],
    fate: str,
    reason: str,
    owner: str,
    actor: Any,  # noqa: ANN401
    via: str = "web",
) -> tuple[str, ...]:
    """Decide about rows; the keys that were decided.

    Raises:
        DeniedError. EstateError: no such row or fate, or no reason or owner.
    """
    access.require(actor, org, "edit")
    decision = checked_decision(fate, reason, owner)
    ledger = ledger_of(org)
    if ledger is None:
        raise EstateError("nothing was imported yet", hint=f"`sprocket import FILE --as {org.slug}`, or the page Import", where=org.slug)
    rows = [ledger.row(key) for key in dict.fromkeys(keys)]
    if not rows:
        raise EstateError("no row was chosen", hint="tick the rows it is about", where="rows")
    with transaction.atomic():
        for row in rows:
            LedgerDecision.objects.create(
                organization=org, key=row.key, fate=decision.fate, reason=decision.reason, owner=decision.owner, author=actor
            )  # fmt: skip
        what = rows[0].key if len(rows) == 1 else f"{len(rows)} rows"
        record(org=org, actor=actor, what="ledger decided", detail=f"{what}: {decision.fate}", via=via)
    return tuple(row.key for row in rows)
