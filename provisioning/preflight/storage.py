"""Existing object storage that speaks S3: keys, buckets, writing, and whether pictures can be read by all. The only importer of minio."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import ParseError

import minio
import urllib3
from minio.error import MinioException, S3Error

from provisioning.preflight.network import DEADLINE_S, Peer, certificate, reach
from provisioning.preflight.result import Result, without_values

PREFIX = "sprocket-preflight/"
_TITLE = "Object storage"
_WRONG_KEYS = {"InvalidAccessKeyId": "access key", "SignatureDoesNotMatch": "secret key"}
_SECRETS = {"access key": "storage-access-key", "secret key": "storage-secret-key"}


class KeysError(Exception):
    """The server does not know the keys; `args[0]` says which of the two."""


def check_storage(facts: Mapping[str, Any], access_key: str, secret_key: str, peer: Peer) -> Iterator[Result]:
    """Everything about existing object storage.

    Args:
        facts: `existing.storage` of blueprint.json; `public_pictures` says whether report cards are made readable for all.
    """
    reached = reach(peer)
    yield reached.result
    if not reached.address:
        return
    if facts["tls"]:
        tls = certificate(peer, reached.address, must_hold=True)
        yield tls
        if tls.state == "block":
            return
    http = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=DEADLINE_S, read=DEADLINE_S),
        retries=urllib3.Retry(total=0, redirect=0, raise_on_redirect=False),
        ca_certs=str(peer.trust) if peer.trust else None,
    )
    # The first asks for a bucket's region, which keys of few rights may not; the second takes the region that most servers go by.
    clients = tuple(
        minio.Minio(peer.name, access_key=access_key, secret_key=secret_key, secure=bool(facts["tls"]), http_client=http, region=region)
        for region in (None, "us-east-1")
    )
    values = {"access key": access_key, "secret key": secret_key}
    try:
        for use, field in (("replays", "replays_bucket"), ("images", "images_bucket")):
            yield from _bucket(clients, facts["buckets"][use], field, peer)
        if facts["public_pictures"]:
            yield _public(clients, http, facts["buckets"]["images"], peer)
    except KeysError as error:
        name = _SECRETS[str(error.args[0])]
        yield peer.result("keys", "block", f"{_TITLE}: it does not take the {error.args[0]}.", f"Set the secret {name} anew.", "host")
    except (MinioException, urllib3.exceptions.HTTPError, ParseError, OSError, ValueError) as error:
        said = without_values(str(error), values).rstrip(".")
        remedy = "Correct endpoint and port; it is the address of the storage, without a bucket."
        yield peer.result("answers", "block", f"{_TITLE}: it does not answer as S3 does: {said}.", remedy, "host")
    finally:
        http.clear()


def _write(clients: tuple[minio.Minio, ...], bucket: str, key: str, **more: Any) -> minio.Minio:  # noqa: ANN401 - metadata
    """Write a small object; the client that could."""
    for client in clients:
        try:
            client.put_object(bucket, key, io.BytesIO(b"look"), 4, **more)
        except S3Error as error:
            if error.code != "AccessDenied" or client is clients[-1]:
                raise
        else:
            return client
    raise ValueError("no client")  # there are two


def _bucket(clients: tuple[minio.Minio, ...], bucket: str, field: str, peer: Peer) -> Iterator[Result]:
    """Write, read and delete one small object: what the applications will do."""
    key = f"{PREFIX}{secrets.token_hex(8)}"
    try:
        client = _write(clients, bucket, key)
    except S3Error as error:
        yield _refused(error, bucket, "written", field, peer)
        return
    try:
        answer = client.get_object(bucket, key)
        try:
            is_whole = answer.read(16) == b"look"
        finally:
            answer.close()
            answer.release_conn()
        if not is_whole:
            raise ValueError("another object came back than was written")
    except S3Error as error:
        yield _refused(error, bucket, "read", field, peer)
        return
    finally:
        try:
            client.remove_object(bucket, key)
            left = ""
        except S3Error as error:
            left = str(error.code)
    if left:
        sentence = f"{_TITLE}: nothing can be deleted from bucket {bucket} ({left}); {key} is left there."
        yield peer.result(f"bucket-{bucket}", "warn", sentence, "Allow the keys s3:DeleteObject on it.", field)
        return
    yield peer.result(f"bucket-{bucket}", "pass", f"{_TITLE}: bucket {bucket} can be written and read.", field=field)


def _refused(error: S3Error, bucket: str, what: str, field: str, peer: Peer) -> Result:
    code = str(error.code)
    if code in _WRONG_KEYS:
        raise KeysError(_WRONG_KEYS[code]) from None
    if code in ("NoSuchBucket", "PermanentRedirect"):
        remedy = "Make the bucket there, or correct its name."
        return peer.result(f"bucket-{bucket}", "block", f"{_TITLE}: there is no bucket {bucket} ({code}).", remedy, field)
    sentence = f"{_TITLE}: bucket {bucket} cannot be {what} with these keys ({code})."
    remedy = "Allow the keys s3:PutObject, s3:GetObject and s3:DeleteObject on it."
    return peer.result(f"bucket-{bucket}", "block", sentence, remedy, field)


def _public(clients: tuple[minio.Minio, ...], http: urllib3.PoolManager, bucket: str, peer: Peer) -> Result:
    """Write an object readable for all, as report cards are, and read it as anybody."""
    key = f"{PREFIX}{secrets.token_hex(8)}"
    try:
        client = _write(clients, bucket, key, metadata={"x-amz-acl": "public-read"})
    except S3Error as error:
        sentence = f"{_TITLE}: bucket {bucket} refuses pictures that all may read ({error.code})."
        remedy = "Switch ACLs on for this bucket (object ownership: bucket owner preferred), and public access not blocked."
        return peer.result("pictures", "block", sentence, remedy, "images_bucket")
    try:
        address = client.presigned_get_object(bucket, key).partition("?")[0]
        status = http.request("GET", address, redirect=False).status
    finally:
        client.remove_object(bucket, key)
    if status != 200:
        sentence = f"{_TITLE}: a picture in bucket {bucket} is taken, and cannot be read by all (it answers {status})."
        return peer.result("pictures", "warn", sentence, "Give the bucket a policy that lets anybody read its objects.", "images_bucket")
    return peer.result("pictures", "pass", f"{_TITLE}: pictures in bucket {bucket} can be read by all.", field="images_bucket")
