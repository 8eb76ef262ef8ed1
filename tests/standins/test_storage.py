"""The object store's stand-in checks what MinIO checks: signatures against Amazon's own published example, policies, buckets."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "standins" / "app"))

from standin import s3
from standin.serve import make_server
from standin.storage import Store, mc

# Amazon's documentation, "Signature Calculations for the Authorization Header", examples "PUT Object" and "GET Object".
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DAY = 1369353600.0
PUT = {
    "host": "examplebucket.s3.amazonaws.com",
    "date": "Fri, 24 May 2013 00:00:00 GMT",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    "authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=date;host;x-amz-content-sha256;"
    "x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
}


def _signer(body: bytes = b"Welcome to Amazon S3.", now: float = DAY, **changes: str) -> str:
    headers = {**PUT, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return s3.signer("PUT", "/test%24file.text", "", headers, body, {KEY: SECRET}, now)


def test_amazons_own_example_is_taken() -> None:
    assert _signer() == KEY
    get = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": "20130524T000000Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;"
        "x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }
    assert s3.signer("GET", "/test.txt", "", get, b"", {KEY: SECRET}, DAY) == KEY


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"body": b"Welcome to Amazon S4."}, "XAmzContentSHA256Mismatch"),
        ({"x_amz_storage_class": "STANDARD"}, "SignatureDoesNotMatch"),
        ({"now": DAY + 3600}, "RequestTimeTooSkewed"),
        ({"authorization": PUT["authorization"].replace(KEY, "somebody")}, "InvalidAccessKeyId"),
        ({"authorization": "Basic abc"}, "AuthorizationHeaderMalformed"),
    ],
)
def test_a_changed_request_is_refused(changed: dict[str, Any], code: str) -> None:
    with pytest.raises(s3.Refused, match=code):
        _signer(**changed)


ROOT_PASSWORD = "root-password-0123456789"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store, and `mc` told where it is."""
    server = make_server(("127.0.0.1", 0), Store(tmp_path, "sprocket-root", ROOT_PASSWORD).handle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("MC_HOST_store", f"http://sprocket-root:{ROOT_PASSWORD}@{address}")
    yield address
    server.shutdown()


def _set_up(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What the bucket job does."""
    policy = folder / "policy.json"
    resources = ["arn:aws:s3:::replays", "arn:aws:s3:::replays/*"]
    policy.write_text(json.dumps({"Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}]}))
    for bucket in ("replays", "images", "others"):
        assert mc(["--quiet", "mb", "--ignore-existing", f"store/{bucket}"]) == 0
    assert mc(["--quiet", "anonymous", "set", "download", "store/images"]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("league\nleague-secret-0123456789\n"))
    assert mc(["--quiet", "admin", "user", "add", "store"]) == 0
    assert mc(["--quiet", "admin", "policy", "create", "store", "sprocket", str(policy)]) == 0


def test_a_user_sees_the_buckets_of_its_policy_and_no_other(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_up(monkeypatch, tmp_path)
    mine = ("league", "league-secret-0123456789")
    assert s3.request(store, *mine, "PUT", "/replays/a b.replay", body=b"kept")[0] == 403, "no policy is attached yet"
    assert mc(["--quiet", "admin", "policy", "attach", "store", "sprocket", "--user", "league"]) == 0
    assert s3.request(store, *mine, "PUT", "/replays/a b.replay", body=b"kept")[0] == 200
    assert s3.request(store, *mine, "GET", "/replays/a b.replay") == (200, b"kept")
    assert s3.request(store, *mine, "PUT", "/others/a", body=b"x")[0] == 403
    assert s3.request(store, mine[0], "x" * 24, "GET", "/replays/a b.replay")[0] == 403
    assert s3.request(store, *mine, "PUT", "/minio/admin/users/me", body=b"y" * 12)[0] == 403


def test_a_second_run_of_the_job_changes_nothing_and_says_already(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _set_up(monkeypatch, tmp_path)
    attach = ["--quiet", "admin", "policy", "attach", "store", "sprocket", "--user", "league"]
    assert mc(attach) == 0
    _set_up(monkeypatch, tmp_path)
    assert mc(attach) == 1
    assert "already" in capsys.readouterr().err


def test_pictures_can_be_read_by_anybody_and_replays_by_nobody(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.error
    import urllib.request

    _set_up(monkeypatch, tmp_path)
    root = ("sprocket-root", ROOT_PASSWORD)
    for bucket in ("images", "replays"):
        assert s3.request(store, *root, "PUT", f"/{bucket}/x", body=b"seen")[0] == 200
    with urllib.request.urlopen(f"http://{store}/images/x", timeout=5) as answer:
        assert answer.read() == b"seen"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://{store}/replays/x", timeout=5)


def test_users_outlive_a_restart_and_their_secrets_are_sealed(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_up(monkeypatch, tmp_path)
    kept = (tmp_path / "standin.json").read_text()
    assert "league" in kept and "league-secret-0123456789" not in kept
    assert Store(tmp_path, "sprocket-root", ROOT_PASSWORD)._secrets()["league"] == "league-secret-0123456789"
    assert Store(tmp_path, "sprocket-root", "another-password")._secrets()["league"] != "league-secret-0123456789"


def test_a_call_the_real_mc_has_and_the_stand_in_lacks_fails(store: str) -> None:
    assert mc(["--quiet", "admin", "decommission", "store"]) == 1
