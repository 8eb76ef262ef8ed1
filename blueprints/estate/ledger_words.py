"""The ledger as plain data for programs and in words for people. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from blueprints.estate.ledger import Ledger, Row


def counts_of(ledger: Ledger) -> dict[str, Any]:
    """The numbers an import is remembered by."""
    remarks = [*ledger.remarks, *(remark for row in ledger.rows for remark in row.remarks)]
    return {
        "rows": len(ledger.rows),
        "merged": ledger.merged,
        "undecided": len(ledger.undecided),
        "remarks": dict(Counter(remark.severity for remark in remarks)),
        "quarantine": len(ledger.quarantine()),
        "values_unknown": len(ledger.values_unknown),
        "kinds": dict(Counter(row.kind for row in ledger.rows)),
    }


def sum_words(ledger: Ledger) -> str:
    """The reconciliation in one sentence."""
    in_source = sum(line.in_source for line in ledger.sums)
    structure, refused = sum(line.structure for line in ledger.sums), sum(line.refused for line in ledger.sums)
    if not ledger.is_balanced:
        lost = [f"{abs(s.missing)} {s.kind} of {s.source} {'missing' if s.missing > 0 else 'too many'}" for s in ledger.sums if s.missing]
        return f"The totals do not reconcile: {', '.join(lost)}."
    parts = [
        f"{len(ledger.rows)} rows",
        f"{ledger.merged} further places of the same things",
        f"{structure} structure",
        f"{refused} refused",
    ]
    return f"{in_source} in the sources = {' + '.join(parts)}."


def ledger_data(ledger: Ledger) -> dict[str, Any]:
    """All of it."""
    return {
        "counts": counts_of(ledger),
        "balanced": ledger.is_balanced,
        "reconciliation": [
            {
                "source": s.source, "kind": s.kind, "in_source": s.in_source, "rows": s.in_rows, "structure": s.structure, "refused": s.refused,
                "missing": s.missing,
            }
            for s in ledger.sums
        ],
        "structure": {source: dict(types) for source, types in ledger.structure.items()},
        "rows": [row_data(row) for row in ledger.rows],
        "quarantine": [{"row": key, "what": r.message, "where": r.where, "do": r.hint} for key, r in ledger.quarantine()],
        "remarks": [_remark(remark) for remark in ledger.remarks],
    }  # fmt: skip


def row_data(row: Row) -> dict[str, Any]:
    """One row."""
    return {
        "key": row.key,
        "kind": row.kind,
        "name": row.name,
        "layer": row.layer,
        "component": row.recognition.component,
        "why": row.recognition.why,
        "confidence": row.recognition.confidence,
        "origins": [{"source": o.source, "name": o.name, "address": o.address} for o in row.origins],
        "completeness": row.completeness,
        "leaving": row.is_leaving,
        "value_unknown": row.value_unknown,
        "withheld": {field: why for item in row.items for field, why in item.withheld.items()},
        "remarks": [_remark(remark) for remark in row.remarks],
        "decision": row.fate,
        "decided": row.decision is not None,
        "reason": row.reason,
        "owner": row.owner,
    }


def _remark(remark: Any) -> dict[str, str]:  # noqa: ANN401 - a remark
    return {"rule": remark.rule, "severity": remark.severity, "message": remark.message, "hint": remark.hint, "where": remark.where}
