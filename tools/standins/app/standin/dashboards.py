"""The stand-in for Grafana: reads the provisioning files as Grafana 11 does, and answers its API for what it found."""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail, say

_FILE = re.compile(r"\$__file\{([^}]+)\}")
_PAGE = {"content-type": "text/html"}
_HEALTH = {"influxdb": "/health", "loki": "/loki/api/v1/labels"}


def data_sources(folder: Path) -> dict[str, dict[str, Any]]:
    """Data sources by uid, with `$__file{...}` read."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.y*ml")):
        data = yaml.safe_load(file.read_text())
        for item in data.get("datasources") or ():
            missing = [key for key in ("name", "type", "access", "uid") if not item.get(key)]
            if missing:
                fail(f"Datasource provisioning error: {file}: {missing[0]} is missing")
            if item["uid"] in found or any(other["name"] == item["name"] for other in found.values()):
                fail(f"Datasource provisioning error: {item['name']} is there twice")
            found[item["uid"]] = _read_files(item)
        if data.get("apiVersion") != 1:
            fail(f"Datasource provisioning error: {file}: apiVersion is not 1")
    if sum(bool(item.get("isDefault")) for item in found.values()) > 1:
        fail("Datasource provisioning error: Only one datasource per organization can be marked as default")
    return found


def dashboards(folder: Path) -> dict[str, dict[str, Any]]:
    """Dashboards by uid, of every provider's folder."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.y*ml")):
        for provider in yaml.safe_load(file.read_text()).get("providers") or ():
            if provider.get("type") != "file" or not Path(provider["options"]["path"]).is_dir():
                fail(f"Failed to load dashboard provisioning: {provider.get('name')}: no folder {provider['options']['path']}")
            for path in sorted(Path(provider["options"]["path"]).glob("*.json")):
                dashboard = json.loads(path.read_text())
                if not dashboard.get("title") or dashboard.get("uid") in found:
                    fail(f"Failed to load dashboard from {path}: no title, or its uid is there twice")
                found[dashboard["uid"]] = dashboard
    return found


def _read_files(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read_files(item) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    try:
        return _FILE.sub(lambda match: Path(match[1]).read_text().strip(), value)
    except OSError as error:
        return fail(f"Datasource provisioning error: {error}")


class Grafana:
    """Who may sign in, what there is, and whether the sources answer."""

    def __init__(self, provisioning: Path, user: str, password: str) -> None:
        if len(password) < 4:
            fail("missing setting GF_SECURITY_ADMIN_PASSWORD__FILE")
        self.sources, self.dashboards = data_sources(provisioning / "datasources"), dashboards(provisioning / "dashboards")
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        say(f"data sources: {', '.join(self.sources) or 'none'}; dashboards: {', '.join(self.dashboards) or 'none'}")

    def handle(self, ask: Ask) -> Answer:
        if ask.path == "/api/health":
            return as_json({"database": "ok", "version": "standin"})
        if not ask.path.startswith("/api/"):
            return Answer(200, b"<!doctype html><title>Grafana (stand-in)</title><p>Grafana (stand-in)", _PAGE)
        if ask.headers.get("authorization") != self.basic:
            return as_json({"message": "Unauthorized"}, 401)
        if ask.path == "/api/datasources":
            return as_json([{key: item[key] for key in ("uid", "name", "type")} for item in self.sources.values()])
        if ask.path == "/api/search":
            return as_json([{"uid": uid, "title": item["title"]} for uid, item in self.dashboards.items()])
        health = re.fullmatch(r"/api/datasources/uid/([\w-]+)/health", ask.path)
        if health and health[1] in self.sources:
            return self._health(self.sources[health[1]])
        found = self.dashboards.get(ask.path.removeprefix("/api/dashboards/uid/"))
        return as_json({"dashboard": found}) if found else as_json({"message": "Not found"}, 404)

    def _health(self, source: dict[str, Any]) -> Answer:
        try:
            with urllib.request.urlopen(source["url"] + _HEALTH[source["type"]], timeout=5):
                return as_json({"status": "OK"})
        except OSError as error:
            return as_json({"status": "ERROR", "message": str(error)}, 400)


def grafana() -> None:
    """Run until told to stop."""
    file = os.environ.get("GF_SECURITY_ADMIN_PASSWORD__FILE", "")
    try:
        password = Path(file).read_text().strip() if file else os.environ.get("GF_SECURITY_ADMIN_PASSWORD", "")
    except OSError:
        fail(f"GF_SECURITY_ADMIN_PASSWORD__FILE names {file}, which is not there")
    folder = Path(os.environ.get("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning"))
    role = Grafana(folder, os.environ.get("GF_SECURITY_ADMIN_USER", "admin"), password)
    until_told(make_server(("0.0.0.0", int(os.environ.get("GF_SERVER_HTTP_PORT", "3000"))), role.handle))
