"""Stores of objects: wrong keys, no bucket, large content, and where credentials go."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from buildrules.errors import CredentialsError, UsageError
from buildrules.net.session import Session
from buildrules.remote import objects
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from tests.oci.registry.servers import Answer, Seen, web
from tests.remote.places import MIB, blob_of, key
from tests.support.faulty import Fault, Faulty
from tests.support.swift import ACCESS_KEY, SECRET_KEY, Swift

SECRET = "canary-9f8e7d6c5b4a"


@pytest.fixture
def bucket(swift: Swift, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in swift.environment.items():
        monkeypatch.setenv(name, value)
    return swift.bucket(f"cache-{os.urandom(8).hex()}")


@contextmanager
def opened(url: str, connection: dict[str, object] | None = None) -> Iterator[tuple[Guarded, list[str]]]:
    session, told = Session(), list[str]()
    if connection is not None:
        session.connect([{"name": "store", "type": "s3", **connection}], ".")
    guarded = Guarded(open_backend(url, session, "store" if connection else None), told.append, wait=lambda _: None)
    yield guarded, told
    guarded.close()


@pytest.mark.network
def test_keys_of_the_connection(swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in swift.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STORE_SECRET", SECRET_KEY)
    parts = {"access_key_id": ACCESS_KEY, "secret_access_key": {"env": "STORE_SECRET"}}
    connection = {"target": swift.endpoint, "kind": "access_key", "parts": parts}
    with opened(f"s3://{bucket}/x", connection) as (guarded, told):
        name = key()
        assert guarded.put(name, b"record")
        assert guarded.get(name) == b"record"
        assert not told


@pytest.mark.network
def test_a_wrong_secret_is_told_once_and_not_shown(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with opened(f"s3://{bucket}/x") as (guarded, told):
        for _ in range(5):
            assert guarded.get(key()) is None
        assert guarded.stats.requests == 1
        assert len(told) == 1 and "403" in told[0]
        assert SECRET not in told[0] and "Signature" not in told[0]


@pytest.mark.network
def test_a_bucket_that_is_not_there_is_no_empty_cache(bucket: str) -> None:
    with opened(f"s3://{bucket}-gone/x") as (guarded, told):
        assert guarded.get(key()) is None
        assert not guarded.put(key(), b"x")
        assert len(told) == 2 and all("make the bucket" in line for line in told)


@pytest.mark.network
def test_large_content_goes_in_parts_and_appears_whole(
    swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART", 5 * MIB)
    data = random.randbytes(17 * MIB)
    blob = blob_of(data)
    with opened(f"s3://{bucket}/x") as (guarded, _):

        def breaks() -> Iterator[bytes]:
            yield data[: 12 * MIB]
            raise OSError("the disk is broken")

        assert not guarded.write(blob, breaks)
        assert guarded.holds([blob]) == set()
        assert guarded.write(blob, lambda: [data[at : at + MIB] for at in range(0, len(data), MIB)])
        assert b"".join(guarded.read(blob)) == data


@pytest.mark.network
def test_a_part_that_breaks_off_is_sent_again_and_not_the_whole(
    swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART", 5 * MIB)
    data = random.randbytes(20 * MIB)
    blob = blob_of(data)
    with Faulty(swift.endpoint.partition("://")[2], [None, None, Fault("reset", 2 * MIB, up=True)]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{proxy.host}")
        with opened(f"s3://{bucket}/x") as (guarded, _):
            assert guarded.write(blob, lambda: [data[at : at + MIB] for at in range(0, len(data), MIB)])
            assert guarded.stats.bytes_out == len(data)
        assert len(proxy.applied) == 1
        assert proxy.up < len(data) + 6 * MIB


@pytest.mark.parametrize("status", [301, 307])
def test_no_signature_follows_to_another_host(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere: list[Seen] = []

    def other(request: Seen) -> Answer:
        elsewhere.append(request)
        return 404, {}, b""

    with web(other) as far, web(lambda _: (status, {"Location": f"http://localhost:{far.host[10:]}/x"}, b"")) as near:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{near.host}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        with opened("s3://bucket/x") as (guarded, told):
            assert guarded.get(key()) is None
        assert "authorization" in near.seen[0].headers
        assert not any("authorization" in one.headers for one in elsewhere)
        assert SECRET not in repr((told, near.seen, elsewhere))


def test_keys_are_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.invalid")
    with pytest.raises(CredentialsError, match="unencrypted"):
        open_backend("s3://bucket/x", Session())


@pytest.mark.parametrize("url", ["s3:///x", "s3://key:secret@bucket/x", "s3://bucket/x?y", "s3://bucket#y"])
def test_addresses_that_are_no_buckets(url: str) -> None:
    with pytest.raises(UsageError) as error:
        open_backend(url, Session())
    assert "secret" not in str(error.value)


def test_a_shared_access_signature_is_not_for_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", SECRET)
    connection = {"type": "azure_blob", "target": "https://store.example", "kind": "sas"}
    connection |= {"parts": {"sas_token": {"env": "STORE_SECRET"}}}
    with pytest.raises(UsageError, match="cannot open"), opened("az://account/container/x", connection):
        pass
