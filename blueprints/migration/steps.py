"""The cut-over in its order, each step with its check, its way back and what the rehearsal does in its place. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blueprints.migration.model import StepPlan

POINT_OF_NO_RETURN = "no-return"


@dataclass(frozen=True, slots=True)
class Moves:
    """What the steps depend on.

    Attributes:
        target: slug of the v2 organization.
        name: of the organization that moves; typed at the point of no return.
        copies_database: the database moves; it does not where v2 goes on using the estate's managed one.
        copies_files: buckets are copied.
        is_public: v2 is reached from the internet, so names and certificates have to be looked at by a person.
        frozen, workers, entry: how many services of the estate each of these steps stops.
    """

    target: str
    name: str
    copies_database: bool
    copies_files: bool
    is_public: bool
    frozen: int
    workers: int
    entry: int


def cutover_steps(moves: Moves) -> tuple[StepPlan, ...]:
    """Every step, in order."""
    return (*_before(moves), *_standstill(moves), *_copies(moves), *_change(moves), *_end(moves))


def _before(moves: Moves) -> Iterator[StepPlan]:
    yield StepPlan(
        "prepare",
        "Prepare",
        f"Makes the organization {moves.target}, keeps its needs, draws its blueprint, looks whether secrets, database, storage and disk are there.",
        "machine",
        "The blueprint is drawn, no secret is missing, the estate's database answers, the disk has room for the copy.",
        "Nothing of the estate was touched; the organization stays, without a deployment.",
        rehearsed="the same",
    )
    yield StepPlan(
        "rehearsed",
        "Look at the rehearsal",
        "Looks for a rehearsal with the same needs that went well, and takes its durations as the estimate.",
        "machine",
        "The newest rehearsal is done.",
        "Nothing to undo.",
    )
    yield StepPlan(
        "announce",
        "Tell the players",
        "Say when the site will be away and for how long; staff let running scrims come to their end.",
        "operator",
        "An operator confirms that it was announced.",
        "Tell them that it is put off.",
    )


def _standstill(moves: Moves) -> Iterator[StepPlan]:
    yield StepPlan(
        "freeze",
        "Freeze",
        f"Stops the {moves.frozen} services that take new work (web, API, bots); how many copies each had is noted.",
        "machine",
        "None of them runs.",
        "Each gets its former number of copies.",
        rehearsed="says what would be stopped",
    )
    yield StepPlan(
        "drain",
        "Drain",
        "Waits until the queues are empty and no scrim or submission is open; says what still is.",
        "machine",
        "Every queue has 0 messages, every pattern of open keys 0 keys; or an operator accepts what is left.",
        "Nothing to undo.",
        rehearsed="counts once, and waits for nothing",
    )
    yield StepPlan(
        "quiesce",
        "Stop the workers",
        f"Stops the {moves.workers} services that finish work and write its result.",
        "machine",
        "None of them runs.",
        "Each gets its former number of copies.",
        rehearsed="says what would be stopped",
    )


def _copies(moves: Moves) -> Iterator[StepPlan]:
    if moves.copies_database:
        yield StepPlan(
            "dump",
            "Dump the database",
            "Counts every table and sums up its content, and dumps exactly that snapshot, in a container of its own beside the estate.",
            "machine",
            "The dump can be read, and arrived here with the right checksums.",
            "The dump is removed; the estate's database was only read.",
            rehearsed="the same",
            limit_s=4 * 3600,
        )
    if moves.copies_files:
        yield StepPlan(
            "buckets",
            "Copy the buckets",
            "Copies every object that is not there yet, and compares number, sizes and checksums.",
            "machine",
            "Both sides have the same objects, of the same sizes and content.",
            "The estate's objects were only read; copies stay, and a next attempt goes on from them.",
            rehearsed="into a prefix of its own that is removed again",
            limit_s=12 * 3600,
        )
    yield StepPlan(
        "secrets",
        "Secrets",
        "Looks that every secret v2 cannot make is there; lists those that v2 makes anew, which rotates them.",
        "machine",
        "No secret is missing.",
        "Nothing to undo: v2 keeps its own.",
        rehearsed="the same",
    )


def _change(moves: Moves) -> Iterator[StepPlan]:
    if moves.is_public:
        yield StepPlan(
            "names",
            "Names and certificates",
            "Look that each name of v2 has its record and leads to this machine; lower the records' time to live an hour before.",
            "operator",
            "The routes page names every record; an operator confirms them.",
            "Set the records back.",
        )
    yield StepPlan(
        "switch",
        "Hand over the entry ports",
        f"Stops the estate's proxy ({moves.entry} service), so that ports 80 and 443 are free.",
        "machine",
        "It does not run.",
        "v2 is down by then; the estate's proxy starts again.",
        rehearsed="says what would be stopped",
    )
    yield StepPlan(
        "deploy",
        "Deploy v2",
        f"Proposes, approves and applies the blueprint of {moves.target}.",
        "machine",
        "The run succeeded and its verdict is good.",
        "v2 is removed; its volumes stay.",
        rehearsed="a preview: a second bot with the same token would answer players",
        limit_s=3600,
    )
    if moves.copies_database:
        yield StepPlan(
            "restore",
            "Restore the database",
            "Loads the dump beside v2's empty database, compares rows and content of every table, exchanges the two, runs the migrations.",
            "machine",
            "Every table has the rows and the content that were dumped.",
            "v2 is removed with the next step back; the estate's database was never written.",
            rehearsed="into a scratch database in a scratch container",
            limit_s=4 * 3600,
        )
    yield StepPlan(
        "verify",
        "Verify",
        "Looks at v2 as a verification does, and counts the rows again.",
        "machine",
        "v2 runs; no table has lost a row.",
        "Nothing to undo.",
        rehearsed="compares the estate with how it was before the rehearsal",
    )


def _end(moves: Moves) -> Iterator[StepPlan]:
    yield StepPlan(
        POINT_OF_NO_RETURN,
        "Point of no return",
        "Look at v2 yourself: sign in, open a league's table. From here on new data is written to v2 only.",
        "owner",
        f"An owner types the organization's name: {moves.name}.",
        "Until it is typed, every step can be taken back.",
        is_final=True,
    )
    yield StepPlan(
        "retire",
        "Retire the old services",
        "Removes the estate's services and what only they used; volumes and database stay, and so do services decided to be kept beside v2.",
        "machine",
        "None of the services that leave is there, every volume is.",
        "",
        limit_s=1800,
    )
