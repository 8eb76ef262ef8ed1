"""The stand-in for MinIO and its `mc`: buckets, users, policies and objects in the volume; signatures and policies are checked.

The part of S3 that the applications use, as MinIO answers it. User secrets are sealed with the root password, as MinIO's are.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from standin import s3
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail, from_env_or_file

ADMIN = "/minio/admin/"
_STORE = "MC_HOST_store"  # mc spells it so: its alias, in its own letters
_OBJECT_ACTIONS = {"PUT": "s3:PutObject", "GET": "s3:GetObject", "HEAD": "s3:GetObject", "DELETE": "s3:DeleteObject"}


class Store:
    """What the server knows, and its answers."""

    def __init__(self, folder: Path, root: str, password: str) -> None:
        if len(password) < 8 or len(root) < 3:
            fail("MINIO_ROOT_USER is shorter than 3, or MINIO_ROOT_PASSWORD shorter than 8")
        self.folder, self.file, self.root, self.password = folder, folder / "standin.json", root, password
        self.known: dict[str, dict[str, Any]] = {"buckets": {}, "users": {}, "policies": {}, "attached": {}}
        if self.file.is_file():
            self.known.update(json.loads(self.file.read_text()))

    def handle(self, ask: Ask) -> Answer:
        if ask.path in ("/minio/health/live", "/minio/health/ready"):
            return Answer(200)
        try:
            who = s3.signer(ask.method, ask.path, ask.raw_query, ask.headers, ask.body, self._secrets())
            if ask.path.startswith(ADMIN):
                return self._administer(ask, who)
            return self._objects(ask, who)
        except s3.Refused as refused:
            return _error(403, str(refused))

    def _secrets(self) -> dict[str, str]:
        return {self.root: self.password} | {key: self._opened(sealed) for key, sealed in self.known["users"].items()}

    def _administer(self, ask: Ask, who: str) -> Answer:
        """PUT /minio/admin/<kind>/<name>: a user, a policy, or what is attached to a user."""
        if who != self.root:
            raise s3.Refused("AccessDenied")
        kind, _, name = ask.path.removeprefix(ADMIN).partition("/")
        text = ask.body.decode()
        if kind == "users":
            if len(text) < 8 or len(name) < 3:
                return _error(400, "InvalidArgument")
            self.known["users"][name] = self._sealed(text)
        elif kind == "policies":
            self.known["policies"][name] = json.loads(text)
        elif kind == "attached":
            if name not in self.known["users"] or text not in self.known["policies"]:
                return _error(404, "XMinioAdminNoSuchUser" if name not in self.known["users"] else "XMinioAdminNoSuchPolicy")
            if text in self.known["attached"].setdefault(name, []):
                return as_json({"code": "already applied"}, 400)
            self.known["attached"][name].append(text)
        else:
            return _error(404, "NotFound")
        self._keep()
        return Answer(200)

    def _objects(self, ask: Ask, who: str) -> Answer:
        bucket, _, key = unquote(ask.path).lstrip("/").partition("/")
        self._must_be_allowed(who, _action(ask, bucket, key), bucket, key)
        if not bucket:
            return Answer(200, " ".join(sorted(self.known["buckets"])).encode())
        if not key:
            return self._bucket(ask, bucket)
        if bucket not in self.known["buckets"]:
            return _error(404, "NoSuchBucket")
        file = self.folder / "objects" / bucket / hashlib.sha256(key.encode()).hexdigest()
        if ask.method == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(ask.body)
            return Answer(200, b"", {"etag": f'"{hashlib.md5(ask.body, usedforsecurity=False).hexdigest()}"'})
        if ask.method == "DELETE":
            file.unlink(missing_ok=True)
            return Answer(204)
        return Answer(200, file.read_bytes()) if file.is_file() else _error(404, "NoSuchKey")

    def _bucket(self, ask: Ask, bucket: str) -> Answer:
        if ask.method != "PUT":
            return Answer(200) if bucket in self.known["buckets"] else _error(404, "NoSuchBucket")
        if ask.raw_query == "policy":
            if bucket not in self.known["buckets"]:
                return _error(404, "NoSuchBucket")
            self.known["buckets"][bucket] = json.loads(ask.body)
        elif bucket in self.known["buckets"]:
            return _error(409, "BucketAlreadyOwnedByYou")
        elif not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
            return _error(400, "InvalidBucketName")
        else:
            self.known["buckets"][bucket] = {}
        self._keep()
        return Answer(200)

    def _must_be_allowed(self, who: str, action: str, bucket: str, key: str) -> None:
        if who == self.root:
            return
        names = self.known["attached"].get(who, []) if who else []
        rules = [self.known["policies"][name] for name in names] if who else [self.known["buckets"].get(bucket, {})]
        resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        for statement in [statement for rule in rules for statement in rule.get("Statement", [])]:
            if (
                statement["Effect"] == "Allow"
                and any(fnmatch.fnmatchcase(action, pattern) for pattern in statement["Action"])
                and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
            ):
                return
        raise s3.Refused("AccessDenied")

    def _keep(self) -> None:
        self.file.write_text(json.dumps(self.known))
        self.file.chmod(0o600)

    def _sealed(self, text: str) -> str:
        nonce = secrets.token_bytes(16)
        return base64.b64encode(nonce + self._mixed(nonce, text.encode())).decode()

    def _opened(self, sealed: str) -> str:
        data = base64.b64decode(sealed)
        return self._mixed(data[:16], data[16:]).decode("utf-8", "replace")

    def _mixed(self, nonce: bytes, data: bytes) -> bytes:
        blocks = range(len(data) // 32 + 1)
        stream = b"".join(hmac.new(self.password.encode(), nonce + bytes([n]), hashlib.sha256).digest() for n in blocks)
        return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def _action(ask: Ask, bucket: str, key: str) -> str:
    if not bucket:
        return "s3:ListAllMyBuckets"
    if key:
        return _OBJECT_ACTIONS.get(ask.method, "s3:Unknown")
    if ask.method == "PUT":
        return "s3:PutBucketPolicy" if ask.raw_query == "policy" else "s3:CreateBucket"
    return "s3:GetBucketLocation" if ask.raw_query.startswith("location") else "s3:ListBucket"


def _error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code></Error>".encode(), {"content-type": "application/xml"})


def minio() -> None:
    """Run until told to stop."""
    store = Store(Path("/data"), os.environ.get("MINIO_ROOT_USER", ""), from_env_or_file("MINIO_ROOT_PASSWORD"))
    until_told(make_server(("0.0.0.0", 9000), store.handle))


def mc(arguments: list[str]) -> int:
    """The calls that the bucket job and the health check make."""
    words = [word for word in arguments if word not in ("--quiet", "--ignore-existing")]
    if words[:2] == ["ready", "local"]:
        return 0 if s3.request("127.0.0.1:9000", "-", "-", "GET", "/minio/health/live")[0] == 200 else 1
    found = re.fullmatch(r"http://([^:]+):([^@]+)@(.+)", os.environ.get(_STORE, ""))
    if not found:
        print("mc: no alias store", file=sys.stderr)
        return 1
    user, password, address = found.groups()
    method, path, query, body = _call(words)
    if not path:
        print(f"mc: the stand-in does not know {' '.join(words[:3])}", file=sys.stderr)
        return 1
    status, answer = s3.request(address, user, password, method, path, query=query, body=body)
    if status == 409 and "--ignore-existing" in arguments:
        return 0
    if status not in (200, 204):
        print(f"mc: {words[0]}: {status} {answer.decode('utf-8', 'replace')}", file=sys.stderr)
        return 1
    return 0


def _call(words: list[str]) -> tuple[str, str, str, bytes]:
    """Method, path, query and body of a command; an empty path for one that is not known."""
    match words:
        case ["ls", "store"]:
            return "GET", "/", "", b""
        case ["mb", target]:
            return "PUT", f"/{target.partition('/')[2]}", "", b""
        case ["anonymous", "set", "download", target]:
            bucket = target.partition("/")[2]
            rule = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
            return "PUT", f"/{bucket}", "policy", json.dumps({"Statement": [rule]}).encode()
        case ["admin", "user", "add", "store"]:
            key, secret = sys.stdin.read().splitlines()
            return "PUT", f"{ADMIN}users/{key}", "", secret.encode()
        case ["admin", "policy", "create", "store", name, file]:
            return "PUT", f"{ADMIN}policies/{name}", "", Path(file).read_bytes()
        case ["admin", "policy", "attach", "store", name, "--user", user]:
            return "PUT", f"{ADMIN}attached/{user}", "", name.encode()
        case _:
            return "", "", "", b""
