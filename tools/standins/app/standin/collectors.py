"""The stand-in for Loki: reads its configuration as strictly as Loki 3 does, takes lines in and gives them back."""

from __future__ import annotations

import gzip
import json
import re
from collections import deque
from pathlib import Path
from typing import Any

import yaml

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail

# The fields of Loki 3's configuration, as its reference lists them, of the sections this project uses. Loki refuses any other.
_FIELDS: dict[str, Any] = {
    "auth_enabled": bool,
    "server": {"http_listen_port": int, "grpc_listen_port": int, "log_level": str, "http_listen_address": str},
    "common": {
        "instance_addr": str, "path_prefix": str, "replication_factor": int, "ring": {"kvstore": {"store": str}},
        "storage": {"filesystem": {"chunks_directory": str, "rules_directory": str}},
    },
    "schema_config": {"configs": [{"from": str, "store": str, "object_store": str, "schema": str, "index": {"prefix": str, "period": str}}]},
    "limits_config": {"retention_period": str, "reject_old_samples": bool, "reject_old_samples_max_age": str, "volume_enabled": bool},
    "compactor": {"working_directory": str, "retention_enabled": bool, "delete_request_store": str, "compaction_interval": str},
    "analytics": {"reporting_enabled": bool},
}  # fmt: skip
_PAIR = re.compile(r'(\w+)="([^"]*)"')


def check(config: dict[str, Any]) -> None:
    """End, naming the field, where Loki would refuse."""
    _check_fields(config, _FIELDS, "")
    _check_together(config)


def _check_fields(config: Any, fields: Any, where: str) -> None:
    if isinstance(fields, dict):
        if not isinstance(config, dict):
            fail(f"failed parsing config: {where or 'the file'} is no mapping")
        for key, value in config.items():
            if key not in fields:
                fail(f"failed parsing config: field {key} not found in {where or 'type loki.Config'}")
            _check_fields(value, fields[key], f"{where}.{key}".lstrip("."))
    elif isinstance(fields, list):
        for item in config:
            _check_fields(item, fields[0], where)
    elif not isinstance(config, fields):
        fail(f"failed parsing config: {where} is {type(config).__name__}, not {fields.__name__}")


def _check_together(config: dict[str, Any]) -> None:
    """What Loki's own validation asks of several fields at once."""
    for period in config["schema_config"]["configs"]:
        if period["store"] == "tsdb" and period["index"]["period"] != "24h":
            fail("tsdb must always have periodic config for index set to 24h")
        if period["schema"] != "v13":
            fail("schema v13 is required to store Structured Metadata")
    compactor, limits = config.get("compactor", {}), config.get("limits_config", {})
    if compactor.get("retention_enabled") and not compactor.get("delete_request_store"):
        fail("compactor.delete-request-store should be configured when retention is enabled")
    if limits.get("retention_period") and not re.fullmatch(r"\d+h", limits["retention_period"]):
        fail(f"retention_period {limits['retention_period']} is no duration in hours")
    if int(limits.get("retention_period", "24h").rstrip("h")) < 24:
        fail("retention period must be >= 24h")


class Loki:
    """Takes lines in, and gives the newest back. Keeps them in memory."""

    def __init__(self) -> None:
        self.lines: deque[tuple[dict[str, str], str, str]] = deque(maxlen=20000)

    def handle(self, ask: Ask) -> Answer:
        if ask.path == "/ready":
            return Answer(200, b"ready\n")
        if ask.path == "/loki/api/v1/push" and ask.method == "POST":
            body = gzip.decompress(ask.body) if ask.headers.get("content-encoding") == "gzip" else ask.body
            for stream in json.loads(body)["streams"]:
                if not stream["stream"]:
                    return as_json({"message": "error at least one label pair is required per stream"}, 400)
                self.lines.extend((stream["stream"], str(at), str(line)) for at, line in stream["values"])
            return Answer(204)
        if ask.path == "/loki/api/v1/labels":
            return as_json({"status": "success", "data": sorted({name for stream, _, _ in self.lines for name in stream})})
        if ask.path == "/loki/api/v1/query_range":
            return self._query(ask.query.get("query", ""))
        return as_json({"message": "not found"}, 404)

    def _query(self, query: str) -> Answer:
        """`{label="value", ...}`, then any number of `|= "text"`."""
        selector, _, rest = query.partition("}")
        labels, texts = dict(_PAIR.findall(selector)), re.findall(r'\|= "([^"]*)"', rest)
        if not labels:
            return as_json({"message": "queries require at least one matcher that does not match the empty string"}, 400)
        found = [
            (stream, at, line)
            for stream, at, line in self.lines
            if labels.items() <= stream.items() and all(text in line for text in texts)
        ]
        result = [{"stream": stream, "values": [[at, line]]} for stream, at, line in found]
        return as_json({"status": "success", "data": {"resultType": "streams", "result": result}})


def loki(arguments: list[str]) -> None:
    """Run until told to stop."""
    named = [word.partition("=")[2] for word in arguments if word.startswith("-config.file=")]
    if not named or not Path(named[0]).is_file():
        fail("no -config.file, or it is not there")
    config = yaml.safe_load(Path(named[0]).read_text())
    check(config)
    until_told(make_server(("0.0.0.0", config["server"]["http_listen_port"]), Loki().handle))
