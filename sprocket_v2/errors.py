"""The base error of the product and one subclass per step of the flow. Imports nothing of ours, so every layer may use it."""

from __future__ import annotations


class SprocketError(Exception):
    """Something a person has to know, in words that help.

    Args:
        message: what is wrong, with the value; never a secret value.
        hint: what to do about it.
        where: file and line, form field, or running thing, e.g. ``orgs/demo.yaml:12`` or ``service demo_api``.
        transient: True when the same call may succeed later without anybody changing anything. It alone decides a retry.
    """

    def __init__(self, message: str, *, hint: str = "", where: str = "", transient: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def as_dict(self) -> dict[str, str | bool]:
        """The JSON shape shared by ``--json``, run events and pages."""
        return {"error": type(self).__name__, "message": self.message, "hint": self.hint, "where": self.where, "transient": self.transient}


class NeedsError(SprocketError):
    """The needs of an organization are not acceptable.

    Args:
        problems: every single problem found, when there is more than one thing to say; each has its own `where`.
    """

    def __init__(self, message: str, *, hint: str = "", where: str = "", problems: tuple[NeedsError, ...] = ()) -> None:
        super().__init__(message, hint=hint, where=where)
        self.problems = problems or (self,)


class EstateError(SprocketError):
    """A source of an estate that cannot be read, or a decision about it that cannot be taken."""


class CatalogError(SprocketError):
    """A component folder or a profile in the release is wrong."""


class ResolveError(SprocketError):
    """Acceptable needs that this release cannot turn into components."""


class RenderError(SprocketError):
    """A template asked for something that was not resolved, or its output is not what was resolved."""


class PreviewError(SprocketError):
    """The engine could not say what would change."""


class ApplyError(SprocketError):
    """The engine could not make it so."""


class VerifyError(SprocketError):
    """The running deployment could not be read."""


class DeniedError(SprocketError):
    """The person may not do this. Exit code 4."""


class StaleError(SprocketError):
    """What was approved is not what would be applied now, or someone else holds the stack. Exit code 5."""


class SetupError(SprocketError):
    """This machine lacks a part; the hint says how to mend it."""
