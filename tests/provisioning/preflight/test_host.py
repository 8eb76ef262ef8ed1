"""The machine of a plan, judged: Docker's version, memory, disk, ports, images, names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.preflight.host import Host, Image, host_results, images_of, name_results, read_host
from provisioning.preflight.result import Result

GOOD = Host(version="27.5.1", memory_mib=8192, free_mib=20480, taken={}, image_ids={"web:1": "sha256:aa"})
WEB = Image("web", "web:1", "unresolved", "sha256:aa")


def judged(host: Host = GOOD, *images: Image, needed: int = 2816) -> dict[str, Result]:
    return {result.key: result for result in host_results(host, images or (WEB,), needed)}


def test_a_machine_that_fits_passes_everywhere() -> None:
    assert {result.state for result in judged().values()} == {"pass"}


@pytest.mark.parametrize(
    ("version", "state"),
    [("20.10.24", "pass"), ("20.9.0", "block"), ("19.03.1", "block"), ("27.5.1+dfsg4", "pass"), ("", "pass"), ("dev", "pass")],
)
def test_an_old_docker_blocks_and_an_unknown_one_does_not(version: str, state: str) -> None:
    assert judged(replace(GOOD, version=version))["host/docker"].state == state


@pytest.mark.parametrize(("free", "state"), [(20480, "pass"), (5119, "warn"), (1023, "block"), (None, "note")])
def test_the_disk_is_judged_by_what_is_free(free: int | None, state: str) -> None:
    assert judged(replace(GOOD, free_mib=free))["host/disk"].state == state


def test_too_little_memory_is_a_warning_with_both_numbers() -> None:
    found = judged(replace(GOOD, memory_mib=2048))["host/memory"]
    assert found.state == "warn"
    assert "2048 MiB" in found.sentence
    assert "2816 MiB" in found.sentence


def test_a_taken_port_blocks_and_names_no_other_tenant() -> None:
    found = judged(replace(GOOD, taken={8080: "another service"}))
    assert found["host/port-8080"].sentence == "Entry port 8080 is taken by another service."
    assert found["host/port-8080"].remedy == "Stop what listens there, or choose another port in the needs."
    found = judged(replace(GOOD, taken={8080: "another program on this machine"}))
    assert found["host/port-8080"].remedy.startswith("Stop it (`ss -ltnp 'sport = :8080'` names it)")
    assert "host/ports" not in found


@pytest.mark.parametrize(
    ("image", "key", "state"),
    [
        (Image("web", "web:1", "unresolved", "sha256:bb"), "host/images-local", "block"),
        (Image("web", "gone:1", "unresolved", "sha256:bb"), "host/images-local", "block"),
        (Image("web", "gone:1", "unresolved", ""), "host/images-loose", "note"),
        (Image("web", "gone@sha256:cc", "sha256:cc", ""), "host/images-pull", "note"),
        (Image("web", "web:1", "sha256:cc", ""), "host/images", "pass"),
    ],
)
def test_images_are_looked_for_by_digest_or_id(image: Image, key: str, state: str) -> None:
    assert judged(GOOD, image)[key].state == state


def test_the_images_of_a_lock_are_read_as_they_are() -> None:
    lock = {"images": {"web": {"name": "web", "tag": "1", "digest": "unresolved", "local_id": "sha256:aa", "reference": "web:1"}}}
    assert images_of(lock) == (WEB,)


class FakeHost:
    def about(self) -> tuple[str, int, str]:
        return "27.5.1", 4 * 2**30, "/nowhere/at/all"

    def publishers(self, port: int) -> list[str]:
        return {79: ["legacy"], 80: ["demo_traefik"], 81: ["other_traefik"]}.get(port, [])

    def is_port_free(self, port: int) -> bool:
        return port == 82

    def local_image_id(self, reference: str) -> str:
        return "sha256:aa" if reference == "web:1" else ""


def test_ones_own_ports_are_free_and_others_are_counted_never_named() -> None:
    host = read_host(FakeHost(), "demo", {"legacy"}, (79, 80, 81, 82, 83), ("web:1", "gone:1"))
    assert host.taken == {81: "another service", 83: "another program on this machine"}
    assert (host.memory_mib, dict(host.image_ids)) == (4096, {"web:1": "sha256:aa"})
    assert host.free_mib  # of the nearest folder that is there


def test_a_folder_that_is_mounted_and_not_there_is_a_warning_with_the_command(tmp_path: Path) -> None:
    gone = f"{tmp_path}/keys"
    host = read_host(FakeHost(), "demo", (), (), (), (str(tmp_path), gone))
    [said] = [result for key, result in judged(host).items() if key.startswith("host/folder")]
    assert (said.state, said.remedy) == ("warn", f"`mkdir -p {gone}` there, for root alone.")


def test_only_public_names_are_asked_of_dns() -> None:
    ways = [
        {"way": "localhost", "host": "demo.localhost", "api_host": "api.demo.localhost"},
        {"way": "public", "host": "league.example", "api_host": "api.league.example"},
    ]
    known = {"league.example": ("203.0.113.5",)}
    found = {result.key: result.state for result in name_results(ways, lambda host: known.get(host, ()))}
    assert found == {"dns/league.example": "pass", "dns/api.league.example": "note"}
