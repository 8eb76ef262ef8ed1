"""What the tests of the blueprints begin with: the release's catalog, a small organization, its rendering, and hostile text."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from blueprints.catalog import TEMPLATES, Catalog, load_catalog
from blueprints.lock import Lock
from blueprints.render import render
from blueprints.rendering import Rendering
from blueprints.resolve import Resolution, resolve
from tests.orgs.answers import needs

SQL = b"create schema sprocket;\n"

# Every one is a printable line, so a name may hold it.
HOSTILE = (
    "$VAR", "${X}", "$$", "${X:-$(id)}", "$(id)", "`id`", "{{ 7*7 }}", "{% raw %}", "{# x #}", "{% endraw %}{{ org }}", '": x', "': x", "# c", "a # c",
    "1e3", "0o10", "0x1F", "1_000", "12:30:00", "2024-01-01", "no", "yes", "null", "~", "true", ".inf", ".nan", "- a", "? a", "a: b", ": :", "!!str a",
    "&a", "*a", "<<", "|", ">-", "%TAG", "@a", "[a, b]", "{a: b}", "---", "...", "\\", "\\n", "\\u0041", '"', "'", '\\"', "'\\''", "'; id; '", "\"; id; \"",
    "🚀", "é", "ﷺ", "汉字", "<script>alert(1)</script>", "&amp;", "</textarea>", "**bold**", "[a](javascript:alert(1))", "| a | b |", "> quote", "* item",
    "<!-- x -->", "--help", "-rf", "a;b&&c|d", "!history", "%s %d %(x)s", "{0}{1}", "services:", "__proto__", "END", "x" * 60,
)  # fmt: skip


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The release's own."""
    return load_catalog()


def resolution(lock: Lock | None = None, **changes: Any) -> Resolution:
    """The resolution of the least answers, with some changed."""
    return resolve(needs(**changes), catalog(), lock, {"schema.sql": SQL})


def rendering(lock: Lock | None = None, **changes: Any) -> Rendering:
    """The rendering of the least answers, with some changed."""
    return render(resolution(lock, **changes), catalog())


def release(folder: Path) -> Path:
    """A copy of the release's templates, to be spoiled."""
    return Path(shutil.copytree(TEMPLATES, folder / "templates", ignore=shutil.ignore_patterns("pages", "cases")))


def edit(file: Path, old: str, new: str) -> int:
    """Replace a text that stands once in a file; the line it stood on."""
    text = file.read_text()
    assert text.count(old) >= 1, f"{old!r} is not in {file.name}"
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1
