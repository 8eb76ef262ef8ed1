"""The leak scanner finds what is planted: a scan that finds nothing means something."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest

from tests.engine.scanner import leaks_in, scan_folder

CANARY = 'canary "one"/two+three'


@pytest.mark.parametrize(
    "planted",
    [
        CANARY.encode(),
        base64.b64encode(CANARY.encode()),
        b"canary%20%22one%22%2Ftwo%2Bthree",
        b'{"x": "canary \\"one\\"/two+three"}',
        CANARY.encode().hex().encode(),
    ],
    ids=["plain", "base64", "url", "json", "hex"],
)
def test_it_finds_a_planted_leak(planted: bytes, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log.txt").write_bytes(b"before " + planted + b" after")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(planted))
    (tmp_path / "clean.txt").write_text("nothing here")
    assert scan_folder(tmp_path, [CANARY]) == {"deep/log.txt": [CANARY], "packed.gz": [CANARY]}


def test_it_finds_nothing_where_nothing_is() -> None:
    assert leaks_in(b"an ordinary log line", [CANARY]) == []
