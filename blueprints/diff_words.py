"""A comparison in words, made by rules: the first screen a volunteer reads, and a message for Discord. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from blueprints.diff import Comparison, ComponentChange
from blueprints.quoting import text_markdown

DISCORD_LIMIT = 2000
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True, slots=True)
class Summary:
    """Four answers: what changes, who notices, for how long, how to undo."""

    what: str
    who: str
    how_long: str
    undo: str


def summarise(comparison: Comparison) -> Summary:
    """The four answers for a comparison."""
    if comparison.is_same:
        return Summary("Nothing changes.", "Nobody.", "No time at all.", "There is nothing to undo.")
    return Summary(_what(comparison), _who(comparison), _how_long(comparison), _undo(comparison))


def _what(comparison: Comparison) -> str:
    parts = []
    for change, verb in (("added", "Adds"), ("removed", "Removes"), ("changed", "Changes")):
        titles = [c.title for c in comparison.components if c.change == change]
        if titles:
            parts.append(f"{verb} {listed(titles)}.")
    kept = [volume for c in comparison.components if c.change == "removed" for volume in c.keeps]
    if kept:
        parts.append(f"The data stays in {listed(kept)}.")
    return " ".join(parts) or "Only files that no service reads change."


def _who(comparison: Comparison) -> str:
    noticed = [c for c in comparison.components if c.noticed_by != "nobody"]
    if not noticed:
        return "Nobody."
    who = "Players" if any(c.noticed_by == "players" for c in noticed) else "Staff"
    sentences = [c.interruption for c in noticed if c.interruption]
    sentences += [f"{c.title} is gone." for c in noticed if c.change == "removed"]
    return f"{who}. {' '.join(dict.fromkeys(sentences))}".strip()


def _how_long(comparison: Comparison) -> str:
    gap = sum(c.gap_s for c in comparison.components)
    if not gap:
        return "No interruption."
    return f"About {gap} s in all." if gap < 120 else f"About {round(gap / 60)} minutes in all."


def _undo(comparison: Comparison) -> str:
    if comparison.disruption == "data at risk":
        risky = listed([c.title for c in comparison.components if c.disruption == "data at risk"])
        return f"Make a backup first: applying the former blueprint does not bring back the data of {risky}."
    if not comparison.old_digest:
        return "Destroy the deployment; volumes stay until they are purged."
    return "Apply the former blueprint; volumes are not touched."


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def component_line(change: ComponentChange) -> str:
    """One component's change on one line."""
    details = ", ".join(f"{f.field}{' (local)' if f.local else ''} {f.old or 'none'} → {f.new or 'none'}" for f in change.fields[:4])
    more = f", {len(change.fields) - 4} more" if len(change.fields) > 4 else ""
    kind = f"local, {change.disruption}" if change.local else change.disruption
    return f"{SIGNS[change.change]} {change.title} ({kind})" + (f": {details}{more}" if details else "")


def markdown(comparison: Comparison) -> str:
    """The comparison as a message that fits Discord's 2,000 characters; says how much it leaves out."""
    summary = summarise(comparison)
    head = [f"**What changes:** {_text(summary.what)}", f"**Who notices:** {_text(summary.who)}",
            f"**For how long:** {_text(summary.how_long)}", f"**Undo:** {_text(summary.undo)}"]  # fmt: skip
    body = []
    for need in (comparison.needs or ()) if comparison.old_digest else ():
        body.append(f"- {_text(need.title)}{' (local)' if need.local else ''}: {_text(need.old or 'none')} → {_text(need.new or 'none')}")
    body += [f"- `{_line(component_line(change)).replace('`', '´')}`" for change in comparison.components]
    derived = sum(file.derived for file in comparison.files)
    shown = len(comparison.files) - derived
    foot = f"{shown} {'file' if shown == 1 else 'files'} and {derived} derived {'one' if derived == 1 else 'ones'} differ."
    return _fit(head, body, foot)


def _text(value: str) -> str:
    """A value as Markdown shows it; a zero-width space behind each @, so that nobody is called."""
    return text_markdown(_line(value)).replace("@", "@\u200b")


def _line(value: str) -> str:
    return "".join(character if character.isprintable() else " " for character in value)


def _fit(head: list[str], body: list[str], foot: str) -> str:
    for count in range(len(body), -1, -1):
        left = f"- and {len(body) - count} more" if count < len(body) else ""
        text = "\n".join([*head, *body[:count], *([left] if left else []), foot]) + "\n"
        if len(text) <= DISCORD_LIMIT:
            return text
    return (head[0][: DISCORD_LIMIT - 2] + "\n") if head else ""
