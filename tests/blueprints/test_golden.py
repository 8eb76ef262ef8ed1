"""Golden cases: what each component renders, whole. `make golden` rewrites them; the difference is reviewed like code."""

from __future__ import annotations

import difflib

import pytest

from blueprints.catalog import load_catalog
from tools.golden import COMPONENTS, Case, cases, expected, rendered


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.id)
def test_a_component_renders_as_reviewed(case: Case) -> None:
    now, kept = rendered(case), expected(case)
    assert sorted(now) == sorted(kept)
    for path, text in now.items():
        difference = "".join(
            difflib.unified_diff(kept[path].splitlines(True), text.splitlines(True), f"reviewed/{path}", f"now/{path}", n=1)
        )
        assert not difference, f"\n{difference}\nmeant? then `make golden`"


def test_every_component_has_a_case_and_a_readme() -> None:
    names = set(load_catalog().components)
    assert {case.component for case in cases()} == {*names, "local"}
    assert not [name for name in names if not (COMPONENTS / name / "README.md").is_file()]
