"""How the command line speaks: JSON or words, colours only on a terminal that wants them, exit codes (design D14)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, NoReturn

from sprocket_v2.errors import (
    ApplyError,
    CatalogError,
    DeniedError,
    EstateError,
    NeedsError,
    PreviewError,
    RenderError,
    ResolveError,
    SetupError,
    SprocketError,
    StaleError,
    VerifyError,
)

DONE, FAILED, TROUBLE, DENIED, STALE, INTERRUPTED = 0, 1, 2, 4, 5, 130
_CODES: dict[type[SprocketError], int] = {
    NeedsError: TROUBLE,
    EstateError: TROUBLE,
    CatalogError: TROUBLE,
    ResolveError: TROUBLE,
    RenderError: TROUBLE,
    SetupError: TROUBLE,
    PreviewError: FAILED,
    ApplyError: FAILED,
    VerifyError: FAILED,
    DeniedError: DENIED,
    StaleError: STALE,
}
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Output:
    """Where a command's answer goes. With `json` set, standard output holds one JSON document and nothing else."""

    json = False
    quiet = False

    def result(self, data: object, words: str) -> None:
        """A command's answer: data for programs, words for people."""
        if self.json:
            print(json.dumps(plain(data), indent=2, ensure_ascii=False))
        elif words:
            print(words.rstrip("\n"))

    def progress(self, words: str) -> None:
        """What is being done, on standard error."""
        if not self.quiet and not self.json:
            print(words, file=sys.stderr, flush=True)

    def error(self, error: SprocketError) -> None:
        """What is wrong, where, and what to do."""
        problems = error.problems if isinstance(error, NeedsError) else (error,)
        if self.json:
            print(json.dumps({"errors": [problem.as_dict() for problem in problems]}, indent=2, ensure_ascii=False))
            return
        for problem in problems:
            print(f"{style('error:', 'red', sys.stderr)} {problem}", file=sys.stderr)
            if problem.hint:
                print(f"  {style('hint:', 'cyan', sys.stderr)} {problem.hint}", file=sys.stderr)


out = Output()


def exit_code(error: SprocketError) -> int:
    """The exit code an error ends with."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), TROUBLE)


def stop(error: SprocketError) -> NoReturn:
    """Say what is wrong and end."""
    out.error(error)
    raise SystemExit(exit_code(error))


def plain(value: Any) -> Any:  # noqa: ANN401 - any value a command answers with
    """Data JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)


def style(text: str, name: str, stream: Any = None) -> str:  # noqa: ANN401 - a text stream
    """Coloured text where the stream is a terminal and NO_COLOR is not set."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m"


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    return "\n".join([style(lines[0], "bold"), *lines[1:]])


def is_interactive() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")
