"""Lines of local additions in stack.yml: put in, and marked `# local` one by one, so that no diff can show one without its mark. Pure."""

from __future__ import annotations

import re
from collections import Counter

from blueprints.marks import unmarked

MARK = "# local"
_SERVICE = re.compile(r"\A {2}\S")
_ENVIRONMENT = "    environment:"


def marked_local(text: str) -> str:
    """The text with every line marked. None of it may be a block of text, in which a mark would be read as text."""
    return text.replace("\n", f" {MARK}\n")


def with_environment(text: str, key: str, added: str) -> str:
    """A component's services with lines of environment added to one of them.

    Args:
        text: services as they stand in stack.yml; may hold the marks of a tracing pass.
        key: of the service, as the text writes it (quoted).
        added: whole lines, each marked already.
    """
    lines = text.splitlines(keepends=True)
    plain = [unmarked(line).rstrip("\n") for line in lines]
    at = plain.index(f"  {key}:")
    end = next((i for i in range(at + 1, len(lines)) if _SERVICE.match(plain[i])), len(lines))
    there = next((i for i in range(at + 1, end) if plain[i] == _ENVIRONMENT), None)
    if there is None:
        return "".join([*lines[: at + 1], f"{_ENVIRONMENT} {MARK}\n", added, *lines[at + 1 :]])
    return "".join([*lines[: there + 1], added, *lines[there + 1 :]])


def differs_locally(old: str, new: str) -> bool:
    """Whether a line of local additions is in one of two texts and not in the other."""
    if MARK not in old and MARK not in new:
        return False
    sides = [Counter(line for line in text.splitlines() if line.endswith(f" {MARK}")) for text in (old, new)]
    return sides[0] != sides[1]
