"""What was counted in a database, table by table, and how two such counts differ. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

Tables = Mapping[str, "Table"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table, and the sum over their content as database.sh makes it."""

    rows: int
    content: str


def read_tables(text: str) -> dict[str, Table]:
    """The JSON lines of `digest`, `dump` or `load`; other lines are what the tools said."""
    items = [json.loads(line) for line in text.splitlines() if line.startswith('{"table"')]
    return {str(item["table"]): Table(int(item["rows"]), str(item["content"])) for item in items}


def total_rows(tables: Tables) -> int:
    """All rows."""
    return sum(table.rows for table in tables.values())


def checksum(tables: Tables) -> str:
    """One SHA-256 over names, rows and content of all tables: what two databases with the same content have in common."""
    text = "".join(f"{name}\t{table.rows}\t{table.content}\n" for name, table in sorted(tables.items()))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def differences(there: Tables, here: Tables) -> list[str]:
    """What is not the same, one sentence for each table."""
    found = [f"{name} is missing" for name in sorted(set(there) - set(here))]
    found += [f"{name} is there and was not before" for name in sorted(set(here) - set(there))]
    for name in sorted(set(there) & set(here)):
        one, other = there[name], here[name]
        if one.rows != other.rows:
            found.append(f"{name} has {other.rows} rows, there were {one.rows}")
        elif one.content != other.content:
            found.append(f"{name} has the same {one.rows} rows in number and other content")
    return found


def lost_rows(before: Tables, now: Tables) -> list[str]:
    """Tables with fewer rows than before: after the applications have started, more is their right."""
    return [
        f"{name} has {now[name].rows if name in now else 0} rows, {table.rows} were copied"
        for name, table in sorted(before.items())
        if table.rows > (now[name].rows if name in now else 0)
    ]


def as_data(tables: Tables) -> dict[str, dict[str, int | str]]:
    """Plain data for evidence."""
    return {name: {"rows": table.rows, "content": table.content} for name, table in tables.items()}


def from_data(data: Mapping[str, Mapping[str, int | str]]) -> dict[str, Table]:
    """The reverse."""
    return {name: Table(int(item["rows"]), str(item["content"])) for name, item in data.items()}
