"""The first screen in words: what changes, who notices, for how long, how to undo; and a message that fits Discord."""

from __future__ import annotations

import re
from typing import Any

import pytest

from blueprints.diff import Comparison, ComponentChange, FieldChange, NeedChange, compare
from blueprints.diff_words import DISCORD_LIMIT, Summary, component_line, listed, markdown, summarise
from tests.blueprints.cases import HOSTILE, catalog, rendering
from tests.orgs.answers import needs

MANAGED = {"where": "managed", "managed": {"host": "db.example.org", "name": "league", "user": "league"}}


def compared(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """The comparison of two sets of answers."""
    return compare(rendering(**old), rendering(**new), needs(**old), needs(**new), catalog().option_titles())


def test_no_change_is_said_in_four_short_answers() -> None:
    assert summarise(compared({}, {})) == Summary("Nothing changes.", "Nobody.", "No time at all.", "There is nothing to undo.")


def test_a_restart_says_who_loses_what_and_for_how_long() -> None:
    assert summarise(compared({}, {"options": {"redis": {"memory_mib": 256}}})) == Summary(
        "Changes Redis.",
        "Players. The API cannot read its cache; pages may fail until it is back.",
        "About 5 s in all.",
        "Apply the former blueprint; volumes are not touched.",
    )


def test_a_rolling_update_is_noticed_by_nobody() -> None:
    assert summarise(compared({}, {"options": {"web": {"memory_mib": 512}}})) == Summary(
        "Changes Web.", "Nobody.", "No interruption.", "Apply the former blueprint; volumes are not touched."
    )


def test_a_component_that_goes_is_gone_and_its_data_stays() -> None:
    summary = summarise(compared({}, {"database": MANAGED}))
    assert (
        summary.what
        == "Removes Postgres and Backup. Changes API and Discord bot. The data stays in testers_postgres_data and testers_backup_data."
    )
    assert summary.who.startswith("Players. ")
    assert summary.who.endswith("Postgres is gone.")


def test_data_at_risk_asks_for_a_backup_first() -> None:
    summary = summarise(compared({}, {"slug": "others"}))
    assert summary.undo.startswith("Make a backup first: applying the former blueprint does not bring back the data of Postgres")


def test_a_first_deployment_adds_and_is_undone_by_destroying() -> None:
    summary = summarise(compare(None, rendering(), None, needs()))
    assert summary.what == "Adds Postgres, Backup, Redis, API, Discord bot, Web and Traefik."
    assert (summary.who, summary.how_long) == ("Nobody.", "No interruption.")
    assert summary.undo == "Destroy the deployment; volumes stay until they are purged."


def test_a_change_of_words_only_says_so() -> None:
    assert summarise(compared({}, {"owner": {"name": "Bob", "contact": "bob"}})).what == "Only files that no service reads change."


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (0, "No interruption."),
        (1, "About 1 s in all."),
        (119, "About 119 s in all."),
        (120, "About 2 minutes in all."),
        (600, "About 10 minutes in all."),
    ],
)
def test_a_gap_is_told_in_seconds_or_minutes(gap: int, words: str) -> None:
    change = ComponentChange("a", "A", "changed", (), "restart", "It is away.", "staff", gap, ())
    assert summarise(Comparison("a", "b", None, (change,), (rendering_file(),))).how_long == words
    assert summarise(Comparison("a", "b", None, (change,), (rendering_file(),))).who == "Staff. It is away."


def rendering_file() -> Any:
    """Some file that differs."""
    return compared({}, {"slug": "others"}).files[0]


@pytest.mark.parametrize(("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_a_list_reads_like_a_sentence(words: list[str], text: str) -> None:
    assert listed(words) == text


def test_a_line_tells_four_fields_and_counts_the_rest() -> None:
    fields = tuple(FieldChange("a", f"field{n}", str(n), "") for n in range(6))
    change = ComponentChange("a", "A", "changed", fields, "restart", "", "nobody", 0, ())
    assert component_line(change) == "~ A (restart): field0 0 → none, field1 1 → none, field2 2 → none, field3 3 → none, 2 more"


def test_the_message_says_the_four_answers_then_the_needs_then_the_components() -> None:
    comparison = compared({}, {"options": {"redis": {"memory_mib": 256}}})
    config = comparison.components[0].fields[1]
    assert markdown(comparison).splitlines() == [
        "**What changes:** Changes Redis.",
        "**Who notices:** Players. The API cannot read its cache; pages may fail until it is back.",
        "**For how long:** About 5 s in all.",
        "**Undo:** Apply the former blueprint; volumes are not touched.",
        "- Redis: Memory (MiB): the default → 256",
        f"- `~ Redis (restart): memory 128 MiB → 256 MiB, config redis_redis-conf {config.old} → {config.new}`",
        "2 files and 2 derived ones differ.",
    ]


def test_a_huge_change_still_fits_a_discord_message_and_says_how_much_is_left_out() -> None:
    many = tuple(NeedChange(f"k{n}", f"Question number {n} with a long title", "x" * 200, "y" * 200) for n in range(500))
    components = tuple(
        ComponentChange(
            f"c{n}",
            f"Component {n}",
            "changed",
            (FieldChange("s", "image", "a" * 300, "b" * 300),) * 9,
            "restart",
            "Gone. " * 20,
            "players",
            9,
            (),
        )
        for n in range(50)
    )
    text = markdown(Comparison("a", "b", many, components, (rendering_file(),)))
    assert len(text) <= DISCORD_LIMIT
    assert text.startswith("**What changes:** ")
    assert " more\n" in text
    assert text.endswith("differ.\n")


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_a_message_with_endless_first_lines_is_still_a_message(count: int) -> None:
    components = tuple(
        ComponentChange(f"c{n}", "Very long title " * 30, "changed", (), "restart", "x" * 400, "players", 9, ()) for n in range(count)
    )
    text = markdown(Comparison("a", "b", None, components, (rendering_file(),)))
    assert len(text) <= DISCORD_LIMIT
    assert text.endswith("\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_an_answer_cannot_write_markdown_or_ping_people_in_the_message(text: str) -> None:
    comparison = Comparison(
        "a",
        "b",
        (NeedChange("name", "League name", "Old", text), NeedChange("name", "League name", text, "@everyone")),
        (),
        (rendering_file(),),
    )
    lines = markdown(comparison).splitlines()
    assert len(lines) == 7
    assert lines[4].startswith("- League name: Old → ")
    assert "@everyone" not in lines[5]
    assert re.search(r"(?<!\\)(?:\\\\)*[*_`<>|\[\]~#]", lines[4]) is None


@pytest.mark.parametrize("text", ["`@everyone`", "a\nb @here", "```"])
def test_a_field_cannot_break_out_of_its_code(text: str) -> None:
    change = ComponentChange("a", "A", "changed", (FieldChange("a", "image", text, text),), "restart", "", "nobody", 0, ())
    (line,) = markdown(Comparison("a", "b", None, (change,), (rendering_file(),))).splitlines()[4:-1]
    assert line.startswith("- `~ A (restart)")
    assert line.endswith("`")
    assert line.count("`") == 2
