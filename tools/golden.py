"""Rewrites the golden cases from what is rendered now, and says which changed: `make golden`. Review the result like code."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blueprints.catalog import load_catalog
from blueprints.lock import Lock, LockedImage
from blueprints.render import render_component
from blueprints.resolve import Resolution, resolve
from orgs.needs_file import parse_needs

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ROOT / "templates" / "components"
PINNED = "sha256:" + "0123456789abcdef" * 4


@dataclass(frozen=True, slots=True)
class Case:
    """One golden case: a needs file, and what the component renders for it."""

    component: str
    name: str
    folder: Path

    @property
    def id(self) -> str:
        """As tests call it."""
        return f"{self.component}/{self.name}"


def cases(root: Path = COMPONENTS) -> Iterator[Case]:
    """Every case of every component."""
    for folder in sorted(root.glob("*/cases/*")):
        if (folder / "needs.yaml").is_file() and folder.parts[-3] != "_example":
            yield Case(folder.parts[-3].removeprefix("_"), folder.name, folder)  # _local is no component: it is an organization's own


def resolved(case: Case) -> Resolution:
    """What is decided for a case. One whose needs are public is locked to made-up digests: nothing else may be."""
    catalog = load_catalog()
    text = (case.folder / "needs.yaml").read_text()
    needs = parse_needs(text, str(case.folder / "needs.yaml"))
    lock = Lock()
    if needs.access.public:
        lock = Lock({name: LockedImage(image.name, image.tag, PINNED) for name, image in catalog.images().items()})
    attachments = {"schema.sql": b"create schema sprocket;\n"}
    return resolve(needs, catalog, lock, attachments)


def rendered(case: Case) -> dict[str, str]:
    """What the component renders now."""
    return render_component(resolved(case), load_catalog(), case.component)


def expected(case: Case) -> dict[str, str]:
    """What is kept."""
    folder = case.folder / "expected"
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def main() -> int:
    """Rewrite all cases."""
    changed = []
    for case in cases():
        now = rendered(case)
        if now == expected(case):
            continue
        changed.append(case.id)
        shutil.rmtree(case.folder / "expected", ignore_errors=True)
        for path, text in now.items():
            file = case.folder / "expected" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    print("\n".join(f"rewritten: {name}" for name in changed) or "every golden case is as it was")
    return 0


if __name__ == "__main__":
    sys.exit(main())
