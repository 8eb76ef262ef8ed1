"""What doctor finds out about a machine's kernel."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from sprocket_v2 import machine

RELEASE = platform.release()
FOUND = {
    "loaded": "proc/net/ip_vs",
    "a module": f"lib/{RELEASE}/kernel/net/netfilter/ipvs/ip_vs.ko",
    "a packed module": f"lib/{RELEASE}/kernel/net/netfilter/ipvs/ip_vs.ko.zst",
}


@pytest.mark.parametrize("file", FOUND.values(), ids=FOUND.keys())
def test_ipvs_is_found_loaded_or_ready_to_be(tmp_path: Path, file: str) -> None:
    assert not machine.has_virtual_ips(tmp_path / "proc", tmp_path / "lib")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert machine.has_virtual_ips(tmp_path / "proc", tmp_path / "lib")


def test_ipvs_may_be_built_in(tmp_path: Path) -> None:
    listed = tmp_path / RELEASE / "modules.builtin"
    listed.parent.mkdir()
    listed.write_text("kernel/net/netfilter/ipvs/ip_vs_rr.ko\n")
    assert not machine.has_virtual_ips(tmp_path, tmp_path)
    listed.write_text("kernel/net/netfilter/ipvs/ip_vs.ko\n")
    assert machine.has_virtual_ips(tmp_path, tmp_path)


@pytest.mark.parametrize(("has", "detail"), [(True, "this kernel has IPVS"), (False, "no IPVS in this kernel")])
def test_doctor_says_it_and_calls_neither_a_fault(monkeypatch: pytest.MonkeyPatch, has: bool, detail: str) -> None:
    monkeypatch.setattr(machine, "has_virtual_ips", lambda: has)
    found = machine.virtual_ips()
    assert (found.name, found.state) == ("Virtual IPs", "ok")
    assert detail in found.detail
    assert ("endpoint_mode" in found.hint) == (not has)
