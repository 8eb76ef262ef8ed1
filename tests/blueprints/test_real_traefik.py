"""The real Traefik reads what is rendered for every combination of ways, and disables no router."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from blueprints.catalog import load_catalog
from blueprints.lock import Lock, LockedImage
from blueprints.render import render_component
from blueprints.resolve import resolve
from tests.certificates import make_authority
from tests.engine.ports import free_port
from tests.orgs.answers import needs

pytestmark = pytest.mark.slow  # whole programs, one process each
TRAEFIK = Path(sys.executable).with_name("traefik")
PINNED = "sha256:" + "0123456789abcdef" * 4
PUBLIC = {"domain": "league.example.org", "email": "admin@example.org"}
WAYS: dict[str, list[dict[str, Any]]] = {
    "localhost": [{"host": "a.localhost"}],
    "lan": [{"host": "box.lan"}, {"host": "192.168.1.20", "certificate": "own"}],
    "vpn": [{"host": "box.tail1.ts.net", "port": 8090, "api_port": 8091}, {"host": "100.64.0.9", "certificate": "own"}],
    "public": [
        PUBLIC,
        {**PUBLIC, "certificates": "live", "hsts": True},
        {**PUBLIC, "challenge": "dns", "dns_provider": "duckdns"},
        {**PUBLIC, "certificates": "private", "acme_server": "https://127.0.0.1:1/dir"},
    ],
}


def combinations() -> list[dict[str, Any]]:
    """Every set of ways; each way alone, and all four together, with every kind of each."""
    found = []
    for size in range(1, len(WAYS) + 1):
        for names in itertools.combinations(WAYS, size):
            most = max(len(WAYS[name]) for name in names)
            for turn in range(most if size in (1, len(WAYS)) else 1):
                found.append({"canonical": names[0], **{name: WAYS[name][turn % len(WAYS[name])] for name in names}})
    return found


def _name(access: dict[str, Any]) -> str:
    return "+".join(way + "-".join(("", *map(str, list(item.values())[2:]))) for way, item in access.items() if way != "canonical")


@pytest.mark.parametrize("access", combinations(), ids=_name)
def test_traefik_takes_every_combination_and_disables_no_router(access: dict[str, Any], tmp_path: Path) -> None:
    files = rendered(access)
    routes = yaml.safe_load(files["config/traefik/routes.yml"])
    with running(files, tmp_path) as (port, log):
        routers = {item["name"]: item for item in ask(port, "/api/http/routers") if item["provider"] == "file"}
        middlewares = ask(port, "/api/http/middlewares")
        errors = [line for line in log.read_text().splitlines() if '"error"' in line]
    assert {name.partition("@")[0] for name in routers} == set(routes["http"]["routers"])
    assert {name: item["status"] for name, item in routers.items()} == dict.fromkeys(routers, "enabled")
    assert not [item for item in middlewares if item.get("status") != "enabled"]
    # No authority can be asked here. Everything else it complains about is ours.
    assert not [line for line in errors if "acme" not in line.lower()], errors


def test_it_says_so_when_a_router_is_wrong(tmp_path: Path) -> None:
    """The test above can fail: the same check on a rule with a backtick too many."""
    files = rendered({"canonical": "localhost", "localhost": WAYS["localhost"][0]})
    broken = {
        **files,
        "config/traefik/routes.yml": files["config/traefik/routes.yml"].replace("Host(`a.localhost`)", "Host(`a`.localhost`)"),
    }
    with running(broken, tmp_path) as (port, _):
        statuses = {item["name"]: item["status"] for item in ask(port, "/api/http/routers") if item["provider"] == "file"}
    assert statuses["localhost-web@file"] == "disabled"


def rendered(access: dict[str, Any]) -> dict[str, str]:
    """Traefik's files for these ways."""
    catalog = load_catalog()
    lock = Lock({name: LockedImage(image.name, image.tag, PINNED) for name, image in catalog.images().items()})
    return render_component(resolve(needs(access=access), catalog, lock), catalog, "traefik")


@contextmanager
def running(files: dict[str, str], folder: Path) -> Iterator[tuple[int, Path]]:
    """Traefik on these files; only paths and ports are other ones, and its API is open."""
    api, log = free_port(), folder / "traefik.log"
    authority = make_authority(folder, ["192.168.1.20", "100.64.0.9"])
    swapped = {}
    for kind in ("lan", "vpn"):
        swapped |= {f"/run/secrets/{kind}-certificate-key": authority.key, f"/run/secrets/{kind}-certificate": authority.certificate}
    swapped |= {"/run/secrets/acme-authority": authority.root, "/certificates/": f"{folder}/", "/etc/traefik/": f"{folder}/"}
    for name in ("traefik.yml", "routes.yml"):
        text = files[f"config/traefik/{name}"]
        for old, new in swapped.items():
            text = text.replace(old, str(new) if not old.endswith("/") else new)
        (folder / name).write_text(text)
    static = yaml.safe_load((folder / "traefik.yml").read_text())
    for entry in static["entryPoints"].values():
        entry["address"] = f"127.0.0.1:{free_port()}"
    static["entryPoints"]["traefik"] = {"address": f"127.0.0.1:{api}"}
    static |= {"api": {"insecure": True}, "log": {"level": "INFO", "format": "json"}}
    (folder / "traefik.yml").write_text(yaml.safe_dump(static))
    (folder / "token").write_text("not-a-token-0123456789")
    stack = yaml.safe_load("services:\n" + files["stack.yml"])["services"]["traefik"]
    environment = {name: str(folder / "token") for name in stack.get("environment", {})}
    with log.open("wb") as out:
        process = subprocess.Popen([TRAEFIK, f"--configFile={folder / 'traefik.yml'}"], stdout=out, stderr=out, env=environment)
    try:
        limit = time.monotonic() + 20
        while not _has_routers(api):
            assert process.poll() is None and time.monotonic() < limit, log.read_text()
            time.sleep(0.05)
        yield api, log
    finally:
        process.kill()
        process.wait(timeout=10)


def _has_routers(port: int) -> bool:
    try:
        return any(item["provider"] == "file" for item in ask(port, "/api/http/routers"))
    except OSError:
        return False


def ask(port: int, path: str) -> Any:
    """Traefik's own API."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.loads(answer.read())
