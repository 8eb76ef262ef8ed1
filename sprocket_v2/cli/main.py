"""Entry of the command `sprocket`. Commands live in the modules beside it; Django is loaded only by those that need it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sprocket_v2 import __version__
from sprocket_v2.cli import (
    adoption,
    backups,
    bundles,
    check,
    demo,
    deployments,
    edge,
    estates,
    files,
    local,
    migrations,
    organizations,
    preflight,
    releases,
    removal,
    review,
    ways,
)
from sprocket_v2.cli.output import INTERRUPTED, exit_code, out
from sprocket_v2.database_trouble import database_trouble
from sprocket_v2.errors import SetupError, SprocketError

app = typer.Typer(
    name="sprocket",
    help="From a league's needs to its running deployment.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sprocket {__version__}")
        raise typer.Exit


@app.callback()
def common(
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")] = False,
) -> None:
    """Options of every command; `--json` may also stand behind the command."""
    out.json = out.json or json
    out.quiet = out.quiet or quiet


for commands in (
    files,
    organizations,
    deployments,
    adoption,
    review,
    removal,
    releases,
    preflight,
    check,
    backups,
    migrations,
    ways,
    edge,
    estates,
    bundles,
    demo,
    local,
):
    commands.register(app)


def main() -> None:
    """Run one command; errors become messages and exit codes, never a traceback."""
    arguments = sys.argv[1:]
    if "--json" in arguments:  # taken anywhere, so that every command has it
        arguments = [argument for argument in arguments if argument != "--json"]
        out.json = True
    if sys.stdout is None:  # started with its output closed
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
    try:
        try:
            app(args=arguments, prog_name="sprocket", standalone_mode=True)
        finally:
            sys.stdout.flush()
    except SprocketError as error:
        out.error(error)
        raise SystemExit(exit_code(error)) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(0) from None
    except OSError as error:
        if error.filename is None:
            _drop_output()  # it was the output that could not be written
        trouble = SetupError(
            str(error.strerror or error).lower(), hint="check the path, its permissions and the disk", where=str(error.filename or "output")
        )
        out.error(trouble)
        raise SystemExit(exit_code(trouble)) from None
    except Exception as error:
        told = database_trouble(error)
        if told is None:
            raise
        out.error(told)
        raise SystemExit(exit_code(told)) from None


def _drop_output() -> None:
    """Let what is still to be printed go nowhere, so that the end of the process has nothing to complain about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
