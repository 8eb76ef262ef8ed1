"""The stand-ins of Loki, Gatus and Grafana take what this release renders, and refuse what the real ones refuse."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "standins" / "app"))

from standin import collectors, dashboards, status
from standin.serve import Answer, Ask, make_server

from orgs.needs import Features
from tests.blueprints.cases import rendering

FILES = rendering(features=dict.fromkeys(Features.model_fields, True)).files


def test_lokis_file_is_taken() -> None:
    config = yaml.safe_load(FILES["config/loki/loki.yaml"])
    collectors.check(config)


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("server", "http_port", 3100, "field http_port not found in server"),
        ("server", "http_listen_port", "3100", "server.http_listen_port is str, not int"),
        ("limits_config", "retention_period", "14d", "no duration in hours"),
        ("limits_config", "retention_period", "1h", "must be >= 24h"),
        ("compactor", "delete_request_store", "", "delete-request-store should be configured"),
    ],
)
def test_loki_refuses(section: str, key: str, value: object, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load(FILES["config/loki/loki.yaml"])
    config[section][key] = value
    with pytest.raises(SystemExit):
        collectors.check(config)
    assert said in capsys.readouterr().err


def test_loki_gives_back_the_lines_that_match() -> None:
    loki = collectors.Loki()
    streams = [{"stream": {"org": "a", "appname": name}, "values": [["1", f"{name} up"]]} for name in ("api", "web")]
    assert loki.handle(Ask("POST", "/loki/api/v1/push", {}, {}, json.dumps({"streams": streams}).encode())).status == 204
    found = json.loads(_query(loki, '{org="a"} |= "web up"').body)["data"]["result"]
    assert [item["stream"]["appname"] for item in found] == ["web"]
    assert _query(loki, "{}").status == 400
    unlabelled = json.dumps({"streams": [{"stream": {}, "values": [["1", "x"]]}]}).encode()
    assert loki.handle(Ask("POST", "/loki/api/v1/push", {}, {}, unlabelled)).status == 400


def _query(loki: collectors.Loki, query: str) -> Answer:
    return loki.handle(Ask("GET", "/loki/api/v1/query_range", {"query": query}, {}, b""))


def _gatus(folder: Path, data: Any) -> list[status.Endpoint]:
    (folder / "config.yaml").write_text(yaml.safe_dump(data))
    return status.read(folder / "config.yaml")


def test_gatus_file_is_taken_and_names_each_thing_once(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(FILES["config/gatus/config.yaml"])
    found = status.read(tmp_path / "config.yaml")
    assert {item.group for item in found} == {"Addresses", "Parts"}
    assert {"postgres", "rabbitmq", "openbao", "api"} <= {item.name for item in found}
    assert {item.every_s for item in found} == {60.0}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"endpoints": []}, "at least 1 endpoint"),
        ({"endpoints": [{"name": "a", "url": "http://a", "conditions": []}]}, "at least one condition"),
        ({"endpoints": [{"name": "a", "conditions": ["[STATUS] == 200"]}]}, "a name and a url"),
        ({"endpoints": [{"name": "a", "url": "http://a", "conditions": ["STATUS == 200"]}]}, "invalid condition"),
        ({"endpoints": [{"name": "a", "url": "http://a", "conditions": ["[STATUS] == 200"]}] * 2}, "must be unique"),
        ({"endpoints": [{"name": "a", "url": "http://a", "interval": "60", "conditions": ["[STATUS] == 200"]}]}, "invalid duration"),
    ],
)
def test_gatus_refuses(tmp_path: Path, data: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _gatus(tmp_path, data)
    assert said in capsys.readouterr().err


@pytest.fixture
def site() -> Iterator[str]:
    """A server that answers 500 on /bad."""
    server = make_server(("127.0.0.1", 0), lambda ask: Answer(500 if ask.path == "/bad" else 200))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_gatus_tells_up_from_down(site: str) -> None:
    def success(url: str, condition: str) -> bool:
        endpoint = status.Endpoint({"name": "x", "url": url, "conditions": [condition]})
        endpoint.ask()
        return bool(endpoint.results[-1]["success"])

    assert success(f"http://{site}/", "[STATUS] < 400")
    assert not success(f"http://{site}/bad", "[STATUS] < 400")
    assert success(f"tcp://{site}", "[CONNECTED] == true")
    assert not success("tcp://127.0.0.1:1", "[CONNECTED] == true")
    assert not success("http://127.0.0.1:1/", "[STATUS] == 200")


def _provisioning(folder: Path) -> Path:
    """Grafana's files where the deployment mounts them, with the paths of this machine."""
    for name in ("datasources", "dashboards"):
        (folder / "provisioning" / name).mkdir(parents=True)
    (folder / "boards").mkdir()
    (folder / "influx-token").write_text("token-0123456789\n")
    sources = FILES["config/grafana/datasources.yml"].replace("/run/secrets", str(folder))
    (folder / "provisioning" / "datasources" / "sprocket.yml").write_text(sources)
    boards = FILES["config/grafana/dashboards.yml"].replace("/etc/grafana/dashboards", str(folder / "boards"))
    (folder / "provisioning" / "dashboards" / "sprocket.yml").write_text(boards)
    for name in ("machine", "league", "logs"):
        (folder / "boards" / f"{name}.json").write_text(FILES[f"config/grafana/{name}.json"])
    return folder / "provisioning"


def test_grafana_has_its_sources_with_the_token_from_its_file_and_every_panel_has_a_source(tmp_path: Path) -> None:
    grafana = dashboards.Grafana(_provisioning(tmp_path), "admin", "admin-password-0123")
    assert set(grafana.sources) == {"influxdb", "loki"}
    assert grafana.sources["influxdb"]["secureJsonData"] == {"token": "token-0123456789"}
    for board in grafana.dashboards.values():
        for panel in board["panels"]:
            assert {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])} <= set(grafana.sources)


def test_grafana_lets_nobody_in_without_its_password(tmp_path: Path) -> None:
    grafana = dashboards.Grafana(_provisioning(tmp_path), "admin", "admin-password-0123")
    good = "Basic " + base64.b64encode(b"admin:admin-password-0123").decode()
    assert grafana.handle(Ask("GET", "/api/search", {}, {}, b"")).status == 401
    found = json.loads(grafana.handle(Ask("GET", "/api/search", {}, {"authorization": good}, b"")).body)
    assert {item["title"] for item in found} == {"Machine", "League", "Logs"}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("datasources/sprocket.yml", "type: loki", "kind: loki", "type is missing"),
        ("datasources/sprocket.yml", "uid: loki", "uid: influxdb", "is there twice"),
        ("datasources/sprocket.yml", "influx-token", "no-such-token", "No such file"),
        ("dashboards/sprocket.yml", "boards", "none", "no folder"),
    ],
)
def test_grafana_refuses(tmp_path: Path, file: str, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _provisioning(tmp_path)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(SystemExit):
        dashboards.Grafana(folder, "admin", "admin-password-0123")
    assert said in capsys.readouterr().err
