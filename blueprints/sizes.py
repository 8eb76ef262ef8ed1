"""How large a machine a deployment needs, what it costs a month, and whether it fits the one it is meant for. Pure but for reading the price table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from blueprints.strict_yaml import load
from orgs.needs import Needs
from sprocket_v2.errors import CatalogError, RenderError, ResolveError

if TYPE_CHECKING:
    from blueprints.resolve import ResolvedComponent

# The system, Docker Engine and a little air; an estimate.
SYSTEM_MIB = 512
LEAST_CORES = 2  # the smallest machine the applications' own documents name has two
_HEAVIEST = 3


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine one can rent; `monthly` in US dollars."""

    name: str
    memory_mib: int
    cores: int
    monthly: int


@dataclass(frozen=True, slots=True)
class Prices:
    """The bundled price table: `dated` is the month it was checked."""

    source: str
    dated: str
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """What a deployment takes.

    Attributes:
        memory_mib: the most the limits allow at once.
        needed_mib: with room for the system.
        cores: at least `LEAST_CORES`, and the largest limit of one part, rounded up.
        heaviest: (title, MiB) of the parts that weigh most, heaviest first.
        machine: the cheapest in the price table it fits on; None when none does.
        prices: the table that was asked.
    """

    memory_mib: int
    needed_mib: int
    cores: int
    heaviest: tuple[tuple[str, int], ...]
    machine: Machine | None
    prices: Prices

    @property
    def price_words(self) -> str:
        """The price in words, with its date; `unknown` where the table has no such machine."""
        if self.machine is None:
            return f"price unknown: no machine of this size in the table of {self.prices.dated}"
        return f"about {self.machine.monthly} USD a month ({self.machine.name}, list price of {self.prices.dated})"

    @property
    def words(self) -> str:
        """Machine and price in one sentence."""
        return f"It needs a machine with {self.needed_mib} MiB of memory and {self.cores} cores; {self.price_words}."


def size_of(components: Sequence[ResolvedComponent], root: Path) -> Size:
    """The size of resolved components.

    Args:
        root: the folder that holds `prices.yaml`.
    """
    parts = sorted(((c.manifest.title, c.memory_mib) for c in components), key=lambda part: (-part[1], part[0]))
    lasting = sum(mib for _, mib in parts)
    data = sum(c.memory_mib for c in components if c.manifest.layer == "data")
    jobs = [int(c.inputs[s.memory]) for c in components for s in c.services if s.is_job]
    memory = max(lasting, data + max(jobs, default=0))  # a job runs beside the data services, before the applications
    hundredths = [int(c.inputs[s.cpu]) for c in components for s in c.services if s.cpu]
    cores = max(LEAST_CORES, -(-max(hundredths, default=100) // 100))
    needed = memory + SYSTEM_MIB
    prices = read_prices(root / "prices.yaml")
    fitting = [m for m in prices.machines if m.memory_mib >= needed and m.cores >= cores]
    cheapest = min(fitting, key=lambda m: m.monthly, default=None)
    return Size(memory, needed, cores, tuple(parts[:_HEAVIEST]), cheapest, prices)


def refuse_too_small(needs: Needs, size: Size) -> None:
    """Raise ResolveError where it does not fit the machine or the budget the needs name; the heaviest parts are in the message."""
    heaviest = ", ".join(f"{title} {mib} MiB" for title, mib in size.heaviest)
    machine = needs.machine
    if machine.memory_mib is not None and machine.memory_mib < size.needed_mib:
        raise ResolveError(
            f"the machine has {machine.memory_mib} MiB, this deployment needs {size.needed_mib}; most of it: {heaviest}",
            hint="take a larger machine, switch something off, or lower a part's memory under its options",
            where="machine.memory_mib",
        )
    if machine.monthly_usd is not None and size.machine is not None and machine.monthly_usd < size.machine.monthly:
        raise ResolveError(
            f"the budget is {machine.monthly_usd} USD a month, this deployment costs {size.price_words}; most of it: {heaviest}",
            hint="raise the budget, switch something off, or lower a part's memory under its options",
            where="machine.monthly_usd",
        )


@lru_cache(maxsize=8)
def read_prices(file: Path) -> Prices:
    """The price table.

    Raises:
        CatalogError: it is not one.
    """
    where = f"templates/{file.name}"
    try:
        data = load(file.read_text(encoding="utf-8"), where)
        if not isinstance(data, dict):
            raise TypeError("not a mapping")
        return Prices(data["source"], data["dated"], tuple(_machines(data["machines"])))
    except (RenderError, KeyError, TypeError) as error:
        raise CatalogError(f"the price table cannot be read: {error}", hint="see the comment at its head", where=where) from None


def _machines(items: list[dict[str, int | str]]) -> Iterator[Machine]:
    for item in items:
        yield Machine(str(item["name"]), int(item["memory_mib"]), int(item["cores"]), int(item["monthly"]))
