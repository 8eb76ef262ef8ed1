"""Rows of the pure core: resolving, rendering, comparing, and the command line that does all of it. No Docker, no database."""

from __future__ import annotations

import difflib
import gc
import graphlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blueprints import parse_back
from blueprints.diff import FileChange, file_changes
from blueprints.diff_text import unified
from blueprints.render import render
from blueprints.resolve import Resolution, resolve
from orgs.needs import Needs
from tools.bench.row import Row, interleaved, ratio_row
from tools.bench.workload import (
    DEMO,
    ROOT,
    Printed,
    attachments,
    bare_jinja2,
    bare_parse,
    catalog,
    demo,
    demo_needs,
    largest,
    organization,
    printed,
)

GROUP = "render"
MANY = 1000
FEW = 10
LARGEST = "largest blueprint: "
_CHANGED: dict[str, Any] = {"name": "Other League", "expected_members": 900, "discord": {"bot": True, "prefix": "!"}}


def rows() -> list[Row]:
    """Every row of this group."""
    return [
        *_warm_rows("", demo()),
        *_warm_rows(LARGEST, largest()),
        *_many_rows(),
        *_diff_rows("", demo(), demo(**_CHANGED)),
        *_diff_rows(LARGEST, largest(), largest(**_CHANGED)),
        *_resolve_rows(),
        *_cold_rows(),
        *_copier_rows(),
    ]


def _warm_rows(name: str, resolution: Resolution) -> list[Row]:
    files = render(resolution, catalog()).files
    bare, parse = bare_jinja2(printed(resolution)), bare_parse(files)

    def ours() -> str:
        return render(resolution, catalog()).digest

    def ours_parsed() -> str:
        parse_back.forget()
        return render(resolution, catalog()).digest

    def bare_parsed() -> None:
        bare()
        parse()

    least = interleaved({"bare": bare, "ours": ours, "bare parsed": bare_parsed, "ours parsed": ours_parsed}, 150)
    return [
        ratio_row(GROUP, f"{name}render, warm: resolution to files and digests", least["ours"], least["bare"], goal=1.5, limit="bare Jinja2"),
        ratio_row(GROUP, f"{name}render and parse back, nothing known yet", least["ours parsed"], least["bare parsed"], goal=1.25,
                  limit="bare Jinja2, CSafeLoader, json"),
    ]  # fmt: skip


def _many_rows() -> list[Row]:
    """Organizations that differ in slug and name, each seen for the first time: resolved, rendered, parsed back.

    Processor time, because a neighbour on the machine is not what makes a thousand slow.
    """
    ratios, times = [], []
    number = 0

    def some(count: int) -> float:
        nonlocal number
        begun = time.process_time()
        for _ in range(count):
            number += 1
            render(organization(number), catalog())
        return time.process_time() - begun

    some(FEW)
    gc.collect()
    first = _resident_mib()
    for _ in range(3):
        before = [some(FEW) for _ in range(5)]
        times.append(some(MANY))
        ratios.append(times[-1] / statistics.median([*before, *(some(FEW) for _ in range(5))]))
    gc.collect()
    growth = _resident_mib() - first
    return [
        Row(
            GROUP,
            "time of 1,000 organizations over that of 10",
            statistics.median(ratios),
            "x",
            110,
            90,
            f"{min(times):.3g} s",
            "100",
            "linear:",
        ),
        Row(
            GROUP,
            "memory growth over 3,000 organizations",
            max(growth, 0.0),
            "MiB",
            20,
            None,
            f"{_resident_mib():.0f} MiB",
            "",
            "at the end",
        ),
    ]


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1024 * 1024)


def _diff_rows(name: str, before: Resolution, after: Resolution) -> list[Row]:
    old, new = render(before, catalog()).files, render(after, catalog()).files
    changed = [file for file in file_changes(old, new, ()) if file.change == "changed"]

    def bare() -> list[list[str]]:
        return [_difflib(file) for file in changed]

    def dictionaries() -> list[str]:
        return [path for path in {**old, **new} if old.get(path) != new.get(path)]

    least = interleaved(
        {"found": lambda: file_changes(old, new, ()), "dict": dictionaries, "text": lambda: [unified(f) for f in changed], "difflib": bare},
        60,
    )
    return [
        Row(GROUP, f"{name}which of {len(old)} files changed", least["found"], "ms", 0.1, None, f"{least['found']:.3g} ms", f"{least['dict']:.2g} ms",
            "dict compare"),
        ratio_row(GROUP, f"{name}text diff of {len(changed)} changed files", least["text"], least["difflib"], goal=1.2, limit="difflib"),
    ]  # fmt: skip


def _difflib(file: FileChange) -> list[str]:
    return list(difflib.unified_diff(file.old.splitlines(), file.new.splitlines(), "a", "b", lineterm=""))


def _resolve_rows() -> list[Row]:
    data = demo_needs().model_dump(mode="json")
    files = attachments()
    bare = bare_jinja2(printed(demo()))
    layers: tuple[dict[str, Any], ...] = ({}, {"expected_members": 1}, {"features": {}}, data)
    requires = {name: manifest.requires for name, manifest in catalog().components.items()}

    def peer() -> None:
        merged: dict[str, Any] = {}
        for layer in layers:
            merged = _merged(merged, layer)
        Needs.model_validate(merged)
        list(graphlib.TopologicalSorter(requires).static_order())

    def ours() -> None:
        resolve(Needs.model_validate(data), catalog(), None, files)

    least = interleaved({"peer": peer, "ours": ours, "bare": bare}, 200)
    return [
        ratio_row(
            GROUP, "resolve: answers to components with reasons", least["ours"], least["peer"], goal=5, limit="merge, pydantic, order"
        ),
        ratio_row(GROUP, "resolve, against rendering", least["ours"], least["bare"], goal=0.5, limit="bare Jinja2"),
    ]


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(low)
    for key, value in high.items():
        result[key] = _merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


_COLD_PEER = """
import json, pathlib, sys
import jinja2
work, out = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
environment = jinja2.Environment(loader=jinja2.FileSystemLoader(sys.argv[3]), undefined=jinja2.StrictUndefined, trim_blocks=True,
                                 lstrip_blocks=True, keep_trailing_newline=True)
environment.filters.update(q=json.JSONEncoder(ensure_ascii=False).encode, text=str, word=str)
out.mkdir()
for number, (template, values) in enumerate(work):
    (out / str(number)).write_text(environment.get_template(template).render(values))
"""


def _cold_rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        least = _cold_times(Path(scratch), printed(demo()))
    return [
        ratio_row(GROUP, "`sprocket render`, a new process", least["ours"], least["peer"], goal=4.5, limit="bare Jinja2, a new process")
    ]


# Marks of its own: braces stand in the files themselves.
_COPIER = """
_envops: {variable_start_string: "@<", variable_end_string: ">@", block_start_string: "@{", block_end_string: "}@",
          comment_start_string: "@#", comment_end_string: "#@"}
name:
  type: str
slug:
  type: str
"""


def _copier_rows() -> list[Row]:
    """The whole command beside the tool people would use: the same files, with the organization's slug and name filled in by copier."""
    what = "`sprocket render`, a new process, against copier"
    if importlib.util.find_spec("copier") is None:
        return [Row(GROUP, what, goal=1.0, skipped="copier is not installed")]
    with tempfile.TemporaryDirectory() as scratch:
        least = _copier_times(Path(scratch), render(demo(), catalog()).files)
    return [ratio_row(GROUP, what, least["ours"], least["copier"], goal=1.0, limit="copier copy, a new process")]


def _copier_times(scratch: Path, files: Mapping[str, str]) -> dict[str, float]:
    copier = copier_command(scratch / "template", files)
    run, fresh = _runner(scratch)
    return interleaved(
        {"copier": lambda: run(*copier, fresh()), "ours": lambda: run("-m", "sprocket_v2.cli.main", "render", str(DEMO), "--out", fresh())},
        12,
    )


def copier_command(template: Path, files: Mapping[str, str]) -> list[str]:
    """Arguments of Python that have copier write these files, the demo's name and slug filled in; the folder follows them."""
    needs = demo_needs()
    for path, text in files.items():
        file = template / f"{path}.jinja"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(needs.name, "@< name >@").replace(needs.slug, "@< slug >@"))
    (template / "copier.yml").write_text(_COPIER)
    return ["-m", "copier", "copy", "--quiet", "--defaults", "--data", f"name={needs.name}", "--data", f"slug={needs.slug}", str(template)]


def _cold_times(scratch: Path, work: tuple[Printed, ...]) -> dict[str, float]:
    contexts = scratch / "work.json"
    contexts.write_text(json.dumps([[item.template, item.values] for item in work]))
    run, fresh = _runner(scratch)
    return interleaved(
        {
            "peer": lambda: run("-c", _COLD_PEER, str(contexts), fresh(), str(catalog().root)),
            "ours": lambda: run("-m", "sprocket_v2.cli.main", "render", str(DEMO), "--out", fresh()),
        },
        12,
    )


def _runner(scratch: Path) -> tuple[Callable[..., None], Callable[[], str]]:
    """A function that runs Python to its end, and one that names a folder nobody has used."""
    number = 0
    # Both sides find their modules compiled, as an installed program does, whatever this machine's habits are.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(scratch / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)

    def fresh() -> str:
        nonlocal number
        number += 1
        return str(scratch / str(number))

    return run, fresh
