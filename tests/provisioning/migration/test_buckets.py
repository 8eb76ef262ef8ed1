"""Copying buckets on a real S3 server: resumed, compared by content, refused by name; keys are in no error."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from provisioning.migration.buckets import Endpoint, Object, Pair, Store, compare, copy, listing_digest
from sprocket_v2.errors import ApplyError
from tests.engine.ports import free_port

pytestmark = pytest.mark.slow
PAIR = Pair("old", "new")


def nothing() -> None:
    """A beat of no lease."""


@pytest.fixture
def store() -> Iterator[Store]:
    """A server with two buckets, three objects in the first."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    made = Store(Endpoint("127.0.0.1", port, tls=False, access_key="CanaryKey", secret_key="CanarySecret"))
    for bucket in ("old", "new"):
        for name in [o.object_name for o in made.client.list_objects(bucket, recursive=True)] if made.client.bucket_exists(bucket) else ():
            made.client.remove_object(bucket, str(name))
        if not made.client.bucket_exists(bucket):
            made.client.make_bucket(bucket)
    for name, data in (("a/one", b"1" * 10), ("two", b"22"), ("umlaut ü", b"")):
        put(made, "old", name, data)
    yield made
    server.stop()


def put(store: Store, bucket: str, name: str, data: bytes) -> None:
    store.client.put_object(bucket, name, io.BytesIO(data), len(data))


def test_everything_is_copied_once_and_both_sides_are_the_same(store: Store) -> None:
    assert copy(store, store, PAIR, nothing) == 3
    assert copy(store, store, PAIR, nothing) == 0
    seen = compare(store, store, PAIR, nothing)
    assert (seen["objects"], seen["bytes"], seen["listing"]) == (3, 12, listing_digest(store.objects("new")))


def test_a_copy_that_was_cut_off_goes_on_with_what_is_missing_or_other(store: Store) -> None:
    copy(store, store, PAIR, nothing)
    store.client.remove_object("new", "two")
    put(store, "new", "a/one", b"2" * 10)
    assert copy(store, store, PAIR, nothing) == 2
    compare(store, store, PAIR, nothing)


def test_what_differs_is_refused_with_its_name(store: Store) -> None:
    copy(store, store, PAIR, nothing)
    store.client.remove_object("new", "two")
    put(store, "new", "a/one", b"x" * 10)
    put(store, "old", "umlaut ü", b"longer")
    with pytest.raises(ApplyError) as caught:
        compare(store, store, PAIR, nothing)
    for said in ("two is missing", "umlaut ü has 0 bytes, there 6", "a/one has other content"):
        assert said in caught.value.message


def test_a_rehearsals_prefix_is_removed_and_nothing_else(store: Store) -> None:
    put(store, "new", "kept", b"k")
    pair = Pair("old", "new", "rehearsal-3/")
    copy(store, store, pair, nothing)
    assert compare(store, store, pair, nothing)["objects"] == 3
    assert store.remove("new", "rehearsal-3/") == 3
    assert list(store.objects("new")) == ["kept"]


def test_a_tag_of_an_upload_in_parts_says_nothing_about_content() -> None:
    assert not Object(3, "abc-2").has_content_tag
    assert Object(3, "abc").has_content_tag


def test_errors_name_the_bucket_and_no_key(store: Store) -> None:
    with pytest.raises(ApplyError) as caught:
        store.objects("absent")
    assert "absent: the storage says NoSuchBucket" in caught.value.message
    gone = Store(Endpoint("127.0.0.1", free_port(), tls=False, access_key="CanaryKey", secret_key="CanarySecret"))
    with pytest.raises(ApplyError) as unreachable:
        gone.objects("old")
    assert unreachable.value.transient
    assert "Canary" not in str(caught.value) + str(unreachable.value) + repr(gone)
