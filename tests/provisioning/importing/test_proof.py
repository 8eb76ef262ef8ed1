"""The proof that taking over changes nothing, and what it says when something would."""

from __future__ import annotations

from provisioning.importing.proof import proof_of


def test_imports_and_sames_are_no_change_and_every_rule_is_counted() -> None:
    steps = [{"resource": "service/web", "op": "import", "fields": []}]
    proof = proof_of({"import": 1, "same": 2}, steps, {"N03": 4})
    assert proof.holds
    assert proof.words().splitlines() == ["0 changes: 1 import, 2 same", "  N03 4 times: The runtime `container` is the only one there is"]


def test_what_differs_is_listed_by_resource_and_field() -> None:
    steps = [
        {"resource": "service/web", "op": "update", "fields": ["environment.MODE"]},
        {"resource": "network/net", "op": "create", "fields": []},
    ]
    proof = proof_of({"update": 1, "create": 1}, steps, {})
    assert not proof.holds
    assert proof.differences == {"service/web": ("environment.MODE",), "network/net": ("create",)}
    assert proof.words().startswith("2 would change: 1 update, 1 create\n  service/web: environment.MODE")
