"""Copies objects from one S3 bucket to another and compares both: names, sizes, content. The second and last importer of minio.

What is there already and the same is not copied again, so a copy that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import minio
import urllib3
from minio.error import MinioException, S3Error

from sprocket_v2.errors import ApplyError

_CONNECT_S, _READ_S = 5.0, 60.0
_PIECE = 256 * 1024
_PART = 16 * 1024 * 1024  # of an upload in parts; larger objects only


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that speaks S3, and the keys to it."""

    host: str
    port: int
    tls: bool
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """One bucket and where its objects go; `prefix` stands before each name there. `public` makes pictures readable for all."""

    source: str
    target: str
    prefix: str = ""
    public: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """One object: bytes, and S3's tag, which is the MD5 of the content unless it was uploaded in parts."""

    size: int
    tag: str

    @property
    def has_content_tag(self) -> bool:
        """Whether the tag says something about the content alone."""
        return "-" not in self.tag


class Store:
    """One server."""

    def __init__(self, endpoint: Endpoint) -> None:
        http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S), retries=urllib3.Retry(total=2, redirect=0))
        self.name = f"{endpoint.host}:{endpoint.port}"
        self.client = minio.Minio(
            self.name,
            access_key=endpoint.access_key,
            secret_key=endpoint.secret_key,
            secure=endpoint.tls,
            http_client=http,
            region="us-east-1",
        )

    def objects(self, bucket: str, prefix: str = "") -> dict[str, Object]:
        """Every object of a bucket under a prefix, by its name without it."""
        with _words(self.name, bucket):
            listed = self.client.list_objects(bucket, prefix=prefix, recursive=True)
            return {
                str(o.object_name)[len(prefix) :]: Object(int(o.size or 0), str(o.etag or "").strip('"')) for o in listed if not o.is_dir
            }

    def sha256(self, bucket: str, name: str) -> str:
        """Of an object's content, read through."""
        digest = hashlib.sha256()
        with _words(self.name, f"{bucket}/{name}"):
            answer = self.client.get_object(bucket, name)
            try:
                for piece in answer.stream(_PIECE):
                    digest.update(piece)
            finally:
                answer.close()
                answer.release_conn()
        return digest.hexdigest()

    def remove(self, bucket: str, prefix: str) -> int:
        """Remove every object under a prefix of our own; how many there were."""
        names = [prefix + name for name in self.objects(bucket, prefix)]
        with _words(self.name, bucket):
            for name in names:
                self.client.remove_object(bucket, name)
        return len(names)


def copy(source: Store, target: Store, pair: Pair, beat: Callable[[], None]) -> int:
    """Copy what is not there yet; how many objects that were."""
    there, here = source.objects(pair.source), target.objects(pair.target, pair.prefix)
    wanted = [name for name, item in sorted(there.items()) if name not in here or _is_other(item, here[name])]
    for name in wanted:
        beat()
        _copy_one(source, target, pair, name, there[name].size)
    return len(wanted)


def _is_other(one: Object, other: Object) -> bool:
    return one.size != other.size or (one.has_content_tag and other.has_content_tag and one.tag != other.tag)


def _copy_one(source: Store, target: Store, pair: Pair, name: str, size: int) -> None:
    with _words(source.name, f"{pair.source}/{name}"):
        answer = source.client.get_object(pair.source, name)
        try:
            metadata: dict[str, Any] = {"x-amz-acl": "public-read"} if pair.public else {}
            kind = answer.headers.get("content-type") or "application/octet-stream"
            body = cast("BinaryIO", answer)  # it is read like a file
            target.client.put_object(pair.target, pair.prefix + name, body, size, content_type=kind, metadata=metadata, part_size=_PART)
        finally:
            answer.close()
            answer.release_conn()


def compare(source: Store, target: Store, pair: Pair, beat: Callable[[], None]) -> dict[str, Any]:
    """Evidence that both have the same objects.

    Raises:
        ApplyError: one that is missing, another size, other content; its name is in the message.
    """
    there, here = source.objects(pair.source), target.objects(pair.target, pair.prefix)
    problems = [f"{name} is missing" for name in sorted(set(there) - set(here))]
    problems += [
        f"{name} has {here[name].size} bytes, there {item.size}"
        for name, item in there.items()
        if name in here and here[name].size != item.size
    ]
    read = 0
    for name, item in sorted(there.items()):
        if name not in here or here[name].size != item.size or (item.has_content_tag and item.tag == here[name].tag):
            continue
        beat()
        read += 1
        if source.sha256(pair.source, name) != target.sha256(pair.target, pair.prefix + name):
            problems.append(f"{name} has other content")
    if problems:
        raise ApplyError(
            f"bucket {pair.target} is not as {pair.source}: {'; '.join(problems[:5])}"
            + (f" and {len(problems) - 5} more" if len(problems) > 5 else ""),
            hint="resume: what differs is copied again",
            where=f"{target.name}/{pair.target}",
        )
    return {
        "from": f"{source.name}/{pair.source}",
        "to": f"{target.name}/{pair.target}/{pair.prefix}",
        "objects": len(there),
        "bytes": sum(item.size for item in there.values()),
        "listing": listing_digest(there),
        "compared_by_content": read,
    }


def listing_digest(objects: Mapping[str, Object]) -> str:
    """SHA-256 over names, sizes and tags."""
    text = "".join(f"{name}\t{item.size}\t{item.tag}\n" for name, item in sorted(objects.items()))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _words(server: str, what: str) -> Iterator[None]:
    """The library's errors as ours; no key is ever in one."""
    try:
        yield
    except S3Error as error:
        raise ApplyError(f"{what}: the storage says {error.code}", hint="look at bucket and keys", where=server) from None
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        said = f"{what}: {type(error).__name__}"
        raise ApplyError(said, hint="is the storage reachable from here?", where=server, transient=True) from None
