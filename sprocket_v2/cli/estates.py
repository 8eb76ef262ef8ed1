"""`import`, `ledger`: an estate that runs already, read from exports, Compose files and live engines, and what becomes of its parts."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sprocket_v2.cli.deployments import As, Slug, actor_for, organization
from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.output import FAILED, out, style, table
from sprocket_v2.errors import EstateError, SprocketError

if TYPE_CHECKING:
    from blueprints.estate.ledger import Ledger, Row
    from blueprints.estate.model import Estate, Remark

LIVE = "live"
_ENGINES = ("unix://", "ssh://", "tcp://")


class _ShowFirst(TyperGroup):
    """`ledger ORG` is `ledger show ORG`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Put the command's name in front where it was left out."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["show", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("import")(import_command)
    ledger = typer.Typer(help="Every part of an imported estate, and what becomes of it.", no_args_is_help=True, cls=_ShowFirst)
    ledger.command("show")(ledger_show)
    ledger.command("decide")(ledger_decide)
    app.add_typer(ledger, name="ledger")


def import_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Stack exports, Compose files, `live` for this machine's engine, or another one's socket as unix://PATH.",
            metavar="SOURCE...",
        ),
    ],
    slug: Annotated[str, typer.Option("--as", help="Slug of the organization; made where there is none.", metavar="ORG")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the ledger; keep nothing.")] = False,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Whose action it is; default: the only owner, or the platform admin.")
    ] = None,
) -> None:
    """Read what runs already into a ledger. Sources are only read; secrets in them are not kept."""
    from orgs.grammar import slug as check_slug

    try:
        check_slug(slug)
    except ValueError as error:
        message, _, hint = str(error).partition(": ")
        raise EstateError(message, hint=hint, where="--as") from None
    load_django()
    from blueprints.estate.ledger import make_ledger
    from blueprints.estate_actions import decisions_of, keep_import, look
    from orgs.models import Organization

    engines = ["" if source == LIVE else source for source in sources if source == LIVE or source.startswith(_ENGINES)]
    files = [Path(source) for source in sources if source != LIVE and not source.startswith(_ENGINES)]
    estate = _look(look, slug, files, engines)
    org = Organization.objects.filter(slug=slug).first()
    ledger = make_ledger(estate, decisions_of(org) if org else {})
    if dry_run:
        _show(ledger, ledger.rows, "Nothing was kept.")
        return
    org, person = _organization(org, slug, actor)
    kept = [{"name": file.name, "kind": "file", "bytes": file.stat().st_size} for file in files] + [
        {"name": e or LIVE, "kind": "live", "bytes": 0} for e in engines
    ]
    row = keep_import(org=org, estate=estate, sources=kept, actor=person, via="cli")
    _show(ledger, ledger.rows, f"Import {row.number} of {slug} is kept. Next: `sprocket ledger {slug}`")


def _look(look: Any, slug: str, files: list[Path], engines: list[str]) -> Estate:  # noqa: ANN401 - the action
    from blueprints.estate.sources import Given

    with ExitStack() as stack:
        given = []
        for file in files:
            try:
                given.append(Given(str(file), stack.enter_context(file.open("rb"))))
            except OSError as error:
                raise EstateError(
                    f"cannot be read: {(error.strerror or str(error)).lower()}",
                    hint="name a file, `live`, or an engine's address",
                    where=str(file),
                ) from None
        out.progress(f"reading {len(files) + len(engines)} sources")
        estate: Estate = look(slug=slug, files=given, engines=engines)
        return estate


def _organization(org: Any, slug: str, actor: str | None) -> tuple[Any, Any]:  # noqa: ANN401 - rows
    """The organization and the person; both are made where there is none, as `org create` does."""
    if org is not None:
        return org, actor_for(org, actor)
    from django.db import transaction

    from orgs.actions import create_organization
    from orgs.people import create_user, get_user

    with transaction.atomic():
        name = actor or "admin"
        try:
            person = get_user(name)
        except SprocketError:
            person = create_user(username=name, admin=actor is None)
        return create_organization(slug=slug, name=slug, actor=person, via="cli"), person


def ledger_show(
    org: Slug,
    kind: Annotated[str | None, typer.Option("--kind", help="Only rows of this kind.")] = None,
    undecided: Annotated[bool, typer.Option("--undecided", help="Only rows that wait for a decision.")] = False,
) -> None:
    """The ledger of an organization's newest import."""
    ledger = _ledger(org)
    rows = tuple(row for row in ledger.rows if kind in (None, row.kind) and (not undecided or row.fate == "undecided"))
    _show(ledger, rows, "")


def ledger_decide(
    org: Slug,
    row: Annotated[
        list[str],
        typer.Argument(
            help="Keys of rows, such as service/vault, then the decision: keep, managed, merge or drop.", metavar="ROW... DECISION"
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    as_: As = None,
) -> None:
    """Decide what becomes of rows."""
    found = organization(org)
    from blueprints.estate_actions import decide

    keys = decide(org=found, keys=row[:-1], fate=row[-1], reason=reason, owner=owner, actor=actor_for(found, as_), via="cli")
    out.result({"decided": list(keys), "decision": row[-1]}, f"{row[-1]} is decided for {', '.join(keys)}.")


def _ledger(slug: str) -> Ledger:
    found = organization(slug)
    from blueprints.estate_actions import ledger_of

    ledger = ledger_of(found)
    if ledger is None:
        raise EstateError("nothing was imported yet", hint=f"`sprocket import SOURCE... --as {slug}`", where=slug)
    return ledger


def _show(ledger: Ledger, rows: tuple[Row, ...], last: str) -> None:
    """The ledger as data or in words; exit code 1 where the totals do not reconcile."""
    from blueprints.estate.ledger_words import ledger_data, row_data, sum_words

    lines = [
        table([_line(row) for row in rows], ("row", "is", "decision", "found in", "known", "remarks")) if rows else "No row is like that.",
        "",
        style(sum_words(ledger), "red" if not ledger.is_balanced else "green"),
    ]
    if ledger.undecided:
        lines.append(style(f"{len(ledger.undecided)} rows are not recognised and wait for a decision: `sprocket ledger decide`.", "yellow"))
    quarantine = ledger.quarantine()
    if quarantine:
        lines += ["", style(f"{len(quarantine)} secrets stood in clear. Rotate these:", "red")]
        lines += [f"  {key or remark.where}  {remark.message}" for key, remark in quarantine[:15]]
        lines += [f"  and {len(quarantine) - 15} more; --json has all"] if len(quarantine) > 15 else []
    notes = [remark for remark in ledger.remarks if not remark.rule.startswith("secret.")]
    lines += ["", style("About the sources", "bold"), *_by_rule(notes)] if notes else []
    lines += ["", last] if last else []
    data = {**ledger_data(ledger), "rows": [row_data(row) for row in rows]}
    out.result(data, "\n".join(lines))
    if not ledger.is_balanced:
        raise typer.Exit(FAILED)


def _by_rule(notes: list[Remark]) -> list[str]:
    """One line for each rule: the first of it whole, the rest counted."""
    first: dict[str, Remark] = {}
    for remark in notes:
        first.setdefault(remark.rule, remark)
    counted = Counter(remark.rule for remark in notes)
    more = {rule: f" (and {number - 1} more like it)" if number > 1 else "" for rule, number in counted.items()}
    return [f"  {remark.where}: {remark.message}{more[rule]}" for rule, remark in first.items()]


def _line(row: Row) -> tuple[str, ...]:
    found = ", ".join(dict.fromkeys(origin.source for origin in row.origins))
    known = "value unknown" if row.value_unknown else "waits for deletion" if row.is_leaving else row.completeness
    return (row.key, row.recognition.component or "?", row.fate, found, known, str(len(row.remarks) or ""))
