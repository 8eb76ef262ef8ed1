"""Existing object storage, against moto's S3 server over HTTP and TLS, with its own checks of keys and policies switched on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import minio
import pytest
import urllib3
from minio.error import S3Error
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from provisioning.preflight.network import Peer
from provisioning.preflight.result import Result
from provisioning.preflight.storage import PREFIX, check_storage
from tests.provisioning.preflight.conftest import Certificates, Saying

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Unverified HTTPS")]
BUCKETS = {"replays": "demo-replays", "images": "demo-images"}


@dataclass
class Store:
    """A running S3 server, and an admin's client of it."""

    port: int
    tls: bool
    admin: Any
    iam: Any
    authority: Any

    def check_keys(self, wanted: bool) -> None:
        """Whether it looks at keys, signatures and policies."""
        body = b"0" if wanted else b"inf"
        scheme = "https" if self.tls else "http"
        http = urllib3.PoolManager(ca_certs=str(self.authority), assert_hostname="s3.example.org")
        assert http.request("POST", f"{scheme}://127.0.0.1:{self.port}/moto-api/reset-auth", body=body).status == 200

    def peer(self, *, trust: bool = True, port: int = 0) -> Peer:
        authority = self.authority if trust else None
        return Peer("storage", "Object storage", "s3.example.org", port or self.port, "storage.existing", authority, may_be_here=True)

    def looked(self, access_key: str, secret_key: str, *, public: bool = True, tls: bool | None = None, **peer: Any) -> dict[str, Result]:
        facts = {"tls": self.tls if tls is None else tls, "buckets": BUCKETS, "public_pictures": public}
        results = list(check_storage(facts, access_key, secret_key, self.peer(**peer)))
        for result in results:
            assert access_key not in repr(result)
            assert secret_key not in repr(result)
            assert bool(result.remedy) == (result.state != "pass")
        return {result.key.removeprefix("storage/"): result for result in results}

    def keys(self, *actions: str) -> tuple[str, str]:
        """A new user's keys, who may do these things."""
        name = f"user-{len(self.iam.list_users()['Users'])}"
        self.iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
        self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture(params=[False, True], ids=["http", "https"])
def store(request: pytest.FixtureRequest, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """With both buckets."""
    for module in ("moto.settings", "moto.s3.utils"):  # or it takes the server's own name for a bucket's
        monkeypatch.setattr(f"{module}.S3_IGNORE_SUBDOMAIN_BUCKETNAME", True)
    context = (str(certificates.certificate), str(certificates.key)) if request.param else None
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"{'https' if request.param else 'http'}://127.0.0.1:{server.port}"
    more = {
        "endpoint_url": address,
        "aws_access_key_id": "admin",
        "aws_secret_access_key": "admin",
        "region_name": "us-east-1",
        "verify": False,
    }
    made = Store(server.port, request.param, boto3.client("s3", **more), boto3.client("iam", **more), certificates.authority)
    made.check_keys(False)
    urllib3.PoolManager(ca_certs=str(certificates.authority), assert_hostname="s3.example.org").request("POST", f"{address}/moto-api/reset")
    for bucket in BUCKETS.values():
        made.admin.create_bucket(Bucket=bucket)
    yield made
    made.check_keys(False)
    server.shutdown()
    thread.join()


def states(results: dict[str, Result]) -> dict[str, str]:
    return {key: result.state for key, result in results.items()}


def test_two_buckets_that_can_be_used_pass(store: Store) -> None:
    keys = store.keys("s3:*")
    store.check_keys(True)
    results = store.looked(*keys, public=False)
    assert set(states(results).values()) == {"pass"}, results
    assert set(results) == {"reach", "bucket-demo-replays", "bucket-demo-images", *(["tls"] if store.tls else [])}


def test_pictures_that_all_may_read_pass(store: Store) -> None:
    """Without its look at policies: with it, this server answers 500 to who comes without keys."""
    assert store.looked("canary-access-key", "keys-will-do")["pictures"].state == "pass"


def test_a_store_that_takes_the_acl_and_does_not_heed_it_is_a_warning(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MinIO does."""
    real = minio.Minio.put_object

    def put(self: Any, *args: Any, **more: Any) -> Any:
        return real(self, *args, **{name: value for name, value in more.items() if name != "metadata"})

    monkeypatch.setattr(minio.Minio, "put_object", put)
    result = store.looked("canary-access-key", "keys-will-do")["pictures"]
    assert result.state == "warn"
    assert "cannot be read by all (it answers 403)" in result.sentence
    assert "policy" in result.remedy


def test_the_look_leaves_no_object_behind(store: Store) -> None:
    store.looked("canary-access-key", "keys-will-do")
    for bucket in BUCKETS.values():
        assert "Contents" not in store.admin.list_objects_v2(Bucket=bucket, Prefix=PREFIX)


def test_an_unknown_access_key_blocks_and_names_its_secret(store: Store) -> None:
    store.check_keys(True)
    result = store.looked("AKIAUNKNOWNUNKNOWN00", "canary-secret-key")["keys"]
    assert result.state == "block"
    assert "storage-access-key" in result.remedy


def test_a_wrong_secret_key_blocks_and_names_its_secret(store: Store) -> None:
    access, _ = store.keys("s3:*")
    store.check_keys(True)
    result = store.looked(access, "canary-wrong-secret-key")["keys"]
    assert result.state == "block"
    assert "storage-secret-key" in result.remedy


def test_a_bucket_that_is_not_there_blocks_and_names_its_answer(store: Store) -> None:
    store.admin.delete_bucket(Bucket="demo-replays")
    results = store.looked("canary-access-key", "keys-will-do")
    assert results["bucket-demo-replays"].state == "block"
    assert results["bucket-demo-replays"].field == "storage.existing.replays_bucket"
    assert results["bucket-demo-images"].state == "pass"


def test_keys_that_may_only_read_block(store: Store) -> None:
    keys = store.keys("s3:GetObject")
    store.check_keys(True)
    result = store.looked(*keys, public=False)["bucket-demo-replays"]
    assert result.state == "block"
    assert "cannot be written with these keys (AccessDenied)" in result.sentence
    assert "s3:PutObject" in result.remedy


def test_keys_that_may_not_read_block(store: Store) -> None:
    keys = store.keys("s3:PutObject", "s3:DeleteObject")
    store.check_keys(True)
    result = store.looked(*keys, public=False)["bucket-demo-replays"]
    assert result.state == "block"
    assert "cannot be read" in result.sentence


def test_keys_that_may_not_delete_are_a_warning_that_names_what_is_left(store: Store) -> None:
    keys = store.keys("s3:PutObject", "s3:GetObject")
    store.check_keys(True)
    result = store.looked(*keys, public=False)["bucket-demo-replays"]
    assert result.state == "warn"
    assert PREFIX in result.sentence


def test_pictures_are_looked_at_only_where_a_feature_makes_some(store: Store) -> None:
    assert "pictures" not in store.looked("canary-access-key", "keys-will-do", public=False)


def test_a_store_that_refuses_public_objects_blocks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As S3 does where ACLs are switched off: moto knows no such bucket, so this one answer is made up, word for word."""
    real = minio.Minio.put_object

    def put(self: Any, bucket: str, *args: Any, **more: Any) -> Any:
        if more.get("metadata"):
            answer = urllib3.HTTPResponse(status=400)
            raise S3Error(answer, "AccessControlListNotSupported", "The bucket does not allow ACLs", bucket, "1", "1", bucket, "key")
        return real(self, bucket, *args, **more)

    monkeypatch.setattr(minio.Minio, "put_object", put)
    result = store.looked("canary-access-key", "keys-will-do")["pictures"]
    assert result.state == "block"
    assert "AccessControlListNotSupported" in result.sentence
    assert "Switch ACLs on" in result.remedy


def test_a_certificate_nobody_vouches_for_blocks(store: Store) -> None:
    if not store.tls:
        results = store.looked("canary-access-key", "keys-will-do", tls=True)
        assert states(results) == {"reach": "pass", "tls": "block"}
        assert "does not speak TLS" in results["tls"].sentence
        return
    results = store.looked("canary-access-key", "keys-will-do", trust=False)
    assert states(results) == {"reach": "pass", "tls": "block"}
    assert "does not hold for s3.example.org" in results["tls"].sentence


def test_something_that_is_no_storage_blocks(store: Store) -> None:
    web = Saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    results = store.looked("canary-access-key", "keys-will-do", tls=False, port=web.port)
    assert "block" in states(results).values()


def test_a_redirect_is_not_followed(store: Store) -> None:
    elsewhere = Saying(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/secret\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    results = store.looked("canary-access-key", "keys-will-do", tls=False, port=elsewhere.port)
    assert "block" in states(results).values()
    assert not any("127.0.0.1:1" in result.sentence for result in results.values())
