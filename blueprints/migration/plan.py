"""Rows of an estate + v2's needs -> the migration plan: fates, before and after, blockers, steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from blueprints.compose import StackSpec
from blueprints.migration.model import Blocker, Counts, MigrationPlan, Outcome, Row
from blueprints.migration.rules import Choice, Rules, read_rules
from blueprints.migration.source import Source
from blueprints.migration.steps import Moves, cutover_steps
from blueprints.resolve import Resolution
from orgs.needs import Needs


def plan_migration(
    rows: Sequence[Row],
    resolution: Resolution,
    stack: StackSpec,
    *,
    source: Source | None,
    slug: str,
    name: str,
    known_secrets: Iterable[str] = (),
    rules: Rules | None = None,
) -> MigrationPlan:
    """The plan.

    Args:
        rows: of the ledger, decisions included.
        resolution: of the target's needs.
        stack: v2's stack.yml, for what it will consist of.
        source: where the estate's data is; None while nobody has said so, which blocks.
        slug, name: of the organization whose estate it is.
        known_secrets: of the target and of the estate's organization, names only: values somebody has typed in already.
    """
    rules = rules or read_rules()
    deployed = {part for component in resolution.components for part in component.parts}
    outcomes = tuple(_outcome(row, resolution, deployed, rules) for row in rows)
    re_entered = _re_entered(rows, resolution, rules)
    needs = resolution.needs
    stopped = {
        field: sum(row.kind == "service" and row.role in getattr(rules, field) for row in rows) for field in ("freeze", "workers", "entry")
    }
    moves = Moves(
        target=needs.slug,
        name=name,
        copies_database=needs.database.where == "deployment",
        copies_files=copies_files(needs, source),
        is_public=needs.access.public is not None,
        frozen=stopped["freeze"],
        workers=stopped["workers"],
        entry=stopped["entry"],
    )
    return MigrationPlan(
        source=slug,
        target=needs.slug,
        outcomes=outcomes,
        before=_before(rows, rules),
        after=_after(resolution, stack),
        blockers=tuple(_blockers(rows, outcomes, resolution, source, slug, re_entered, set(known_secrets))),
        steps=cutover_steps(moves),
        re_entered=re_entered,
        rotated=rules.rotated,
    )


def copies_files(needs: Needs, source: Source | None) -> bool:
    """Whether objects move: there are some, v2 stores some, and not in the very same buckets."""
    theirs, ours = source.storage if source else None, needs.storage.existing
    if theirs is None or ours is None:
        return False
    same_place = (theirs.host, theirs.port) == (ours.host, ours.port)
    return not same_place or (theirs.replays_bucket, theirs.images_bucket) != (ours.replays_bucket, ours.images_bucket)


def _outcome(row: Row, resolution: Resolution, deployed: set[str], rules: Rules) -> Outcome:
    choices = rules.roles.get(row.role, ()) if row.kind == "service" else rules.kinds[row.kind]
    default = next((choice for choice in choices if _holds(choice, resolution.needs, deployed)), None)
    if row.decision:
        into = default.into if default and default.fate == row.decision else ""
        return Outcome(row, row.decision, into, row.reason or "decided in the ledger", decided=True)
    if default is None:
        return Outcome(row, "drop", "", "nobody knows what it is: decide it in the ledger", decided=False)
    if row.kind == "secret" and (wanted := _v2_secret(row, rules)) in resolution.secrets:
        return Outcome(row, "keep", wanted, "v2 uses the same value; it is typed in once.", decided=False)
    return Outcome(row, default.fate, default.into, default.why, decided=False)


def _holds(choice: Choice, needs: Needs, deployed: set[str]) -> bool:
    return all(wanted in deployed if path == "deployed" else _answer(needs, path) == wanted for path, wanted in choice.when.items())


def _answer(needs: Needs, path: str) -> Any:  # noqa: ANN401 - an answer of any type
    found: Any = needs
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _v2_secret(row: Row, rules: Rules) -> str:
    return next((wanted for part, wanted in rules.secrets.items() if part in row.name), "")


def _re_entered(rows: Sequence[Row], resolution: Resolution, rules: Rules) -> dict[str, str]:
    """v2's supplied secrets -> the estate's secret of the same value; empty where the estate has none."""
    supplied = [name for name, secret in resolution.secrets.items() if secret.kind == "supplied"]
    theirs = {wanted: row.name for row in reversed(rows) if row.kind == "secret" and (wanted := _v2_secret(row, rules))}
    return {name: theirs.get(name, "") for name in supplied}


def _before(rows: Sequence[Row], rules: Rules) -> Counts:
    services = [row for row in rows if row.kind == "service"]
    kinds = {
        kind: sum(row.kind == kind for row in rows) for kind in ("network", "volume", "config", "secret", "vault", "bucket", "database")
    }
    costs = rules.costs
    parts = {"machine": 1, "database": kinds["database"], "volume": kinds["volume"], "storage": kinds["bucket"]}
    counted = {part: int(costs[part]) for part, count in parts.items() if count}
    words = " + ".join(f"{part} {usd}" for part, usd in counted.items())
    return Counts(
        services=len(services),
        jobs=0,
        networks=kinds["network"],
        volumes=kinds["volume"],
        secrets=kinds["secret"] + kinds["vault"],
        files=kinds["config"],
        memory_mib=sum(row.memory_mib * row.replicas for row in services),
        unlimited=sum(not row.memory_mib for row in services),
        monthly=sum(counted.values()),
        monthly_words=f"{words}, by the estate's papers of {costs['dated']}",
    )


def _after(resolution: Resolution, stack: StackSpec) -> Counts:
    size = resolution.size
    jobs = [service for service in stack.services.values() if service.is_job]
    return Counts(
        services=len(stack.services) - len(jobs),
        jobs=len(jobs),
        networks=len(stack.networks),
        volumes=len(stack.volumes),
        secrets=len(stack.secrets),
        files=len(stack.configs),
        memory_mib=size.memory_mib,
        unlimited=sum(not service.memory_bytes for service in stack.services.values()),
        monthly=size.machine.monthly if size.machine else None,
        monthly_words=size.price_words,
    )


def _blockers(
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    resolution: Resolution,
    source: Source | None,
    slug: str,
    re_entered: Mapping[str, str],
    known: set[str],
) -> Iterator[Blocker]:
    needs = resolution.needs
    unknown = [o.row.name for o in outcomes if o.row.kind == "service" and not o.row.role and not o.decided]
    if unknown:
        yield Blocker(
            "undecided",
            f"{len(unknown)} rows are not recognised and not decided: {_some(unknown)}",
            "Decide each in the ledger: keep, managed, merge or drop, with a reason.",
        )
    if not any(row.kind == "service" for row in rows):
        yield Blocker("empty", "the estate has no services", f"Import it first: `sprocket import SOURCE --as {slug}`.")
    if needs.slug == slug:
        yield Blocker(
            "slug", f"v2 would be called {slug} like the estate", "Give the needs another slug: both run beside each other for a while."
        )
    if source is None:
        yield Blocker(
            "source", "nobody has said where the estate's database and files are", "Attach it: `sprocket migrate plan ORG --source FILE`."
        )
    else:
        yield from _data_blockers(needs, source)
        missing = [name for name in source.secrets if name not in known]
        if missing:
            yield Blocker(
                "copy-secrets",
                f"{len(missing)} secrets the copy needs are missing: {', '.join(missing)}",
                f"`sprocket migrate secret {slug} NAME` sets each.",
            )
    wanted = [name for name in re_entered if name not in known]
    if wanted:
        told = ", ".join(f"{name} (there: {re_entered[name]})" if re_entered[name] else name for name in wanted)
        yield Blocker(
            "re-enter",
            f"{len(wanted)} secrets have to be typed in again, for nobody can read them: {told}",
            f"`sprocket secret set {needs.slug} NAME` sets each.",
        )


def _data_blockers(needs: Needs, source: Source) -> Iterator[Blocker]:
    managed = needs.database.managed
    if managed and (managed.host, managed.name) != (source.database.host, source.database.name):
        yield Blocker(
            "database",
            f"v2's database would be {managed.name} at {managed.host}, which the machine cannot fill and exchange safely",
            "Choose database.where deployment, or name the estate's own database to go on using it.",
        )
    if needs.database.starting_data.kind != "empty":
        yield Blocker(
            "starting-data", "v2 would begin with starting data, and then be given the estate's", "Leave database.starting_data out."
        )
    if source.storage and needs.storage.where == "deployment" and stores_files(needs):
        yield Blocker(
            "storage",
            "v2's object storage would be inside the deployment, where the machine cannot copy to",
            "Choose storage.where existing, with two buckets of its own.",
        )


def stores_files(needs: Needs) -> bool:
    """Whether a feature keeps objects."""
    features = needs.features
    return features.replays or features.report_cards or features.template_editor


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
