"""Models in S3-compatible storage: signatures by the published examples, the rest against a real store."""

import calendar
import hashlib
import itertools
import json
import subprocess
import time
from pathlib import Path

import pytest

from buildrules.actions.models.file import File
from buildrules.errors import BuildrulesError, FetchError, GoneError, UsageError
from buildrules.locking.models.origin import Resolved, resolve
from buildrules.start import sources, transfer
from buildrules.start.failure import MISSING, REFUSED, WRONG, Failure
from buildrules.start.s3 import Keys, object_url, sign, signed
from buildrules.start.web import Web
from tests.support.fetching import access
from tests.support.service import free_ports
from tests.support.swift import ACCESS_KEY, Swift
from tests.support.venvs import environment

CANARY = "canary-5cee"
EXAMPLE = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "https://examplebucket.s3.amazonaws.com"
numbers = itertools.count()


@pytest.fixture
def bucket(swift: Swift) -> str:
    return swift.bucket(f"bucket-{time.time_ns()}-{next(numbers)}")


def fill(swift: Swift, bucket: str, files: dict[str, bytes]) -> None:
    for key, content in files.items():
        swift.put(bucket, key, content)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def paths(found: Resolved) -> dict[str, tuple[int, str]]:
    return {file.path: (file.size, file.sha256) for file in found.files}


# "Examples: Signature Calculations in AWS Signature Version 4" of the Amazon S3 API Reference


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "signature"),
    [
        (
            "GET",
            f"{HOST}/test.txt",
            {"Range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            f"{HOST}/test%24file.text",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", f"{HOST}/?lifecycle", {}, b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "GET",
            f"{HOST}/?max-keys=2&prefix=J",
            {},
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_published_examples(method: str, url: str, headers: dict[str, str], body: bytes, signature: str) -> None:
    now = calendar.timegm((2013, 5, 24, 0, 0, 0))
    sent = sign(method, url, "us-east-1", EXAMPLE, headers=headers, body=body, now=now)
    assert sent["Authorization"].endswith(f"Signature={signature}")


BOTOCORE = """\
import json, sys
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
given = json.load(sys.stdin)
request = AWSRequest(given["method"], given["url"], headers={"x-amz-content-sha256": given["payload"]})
request.context["client_config"] = None
auth = S3SigV4Auth(Credentials("AKID", "secret", given["token"]), "s3", given["region"])
auth.add_auth(request)
print(json.dumps(dict(request.headers.items())))
"""


@pytest.mark.network
def test_signs_as_botocore_does() -> None:
    source = {"kind": "s3", "bucket": "my.bucket", "endpoint": "http://127.0.0.1:9000"}
    url = object_url(source, "ä/b c+d=e&f%2F~(1)*'.bin", [("versionId", "a/b+c="), ("x-id", "Get Object"), ("acl", "")])
    given = {"method": "GET", "url": url, "token": "token/+=", "region": "eu-central-1", "payload": sha256(b"")}
    python = environment("botocore", "botocore") / "python"
    done = subprocess.run(
        [str(python), "-c", BOTOCORE], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout)
    now = calendar.timegm(time.strptime(theirs["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    ours = sign("GET", url, "eu-central-1", Keys("AKID", "secret", "token/+="), now=now)
    assert ours["Authorization"] == theirs["Authorization"]


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"bucket": "plain"}, "https://plain.s3.us-east-1.amazonaws.com/k"),
        ({"bucket": "plain", "region": "eu-west-1"}, "https://plain.s3.eu-west-1.amazonaws.com/k"),
        ({"bucket": "plain", "region": "cn-north-1"}, "https://plain.s3.cn-north-1.amazonaws.com.cn/k"),
        ({"bucket": "with.dots"}, "https://s3.us-east-1.amazonaws.com/with.dots/k"),
        ({"bucket": "b", "endpoint": "https://store.example:9000/"}, "https://store.example:9000/b/k"),
        ({"bucket": "b", "endpoint": "https://{bucket}.store.example"}, "https://b.store.example/k"),
        ({"bucket": "b", "endpoint": "https://store.example/gate"}, "https://store.example/gate/b/k"),
    ],
)
def test_addresses(source: dict[str, str], url: str) -> None:
    assert object_url(source, "k") == url


def test_keys_print_without_secrets() -> None:
    assert CANARY not in repr(Keys("id", CANARY, CANARY))


# what a uri names


@pytest.mark.network
def test_a_prefix_is_a_folder(swift: Swift, bucket: str, tmp_path: Path) -> None:
    files = {"iris/MLmodel": b"flavors: {}\n", "iris/data/a b+c%20ä.bin": b"x" * 70_000, "iris/empty": b""}
    fill(swift, bucket, {**files, "iris/data/": b"", "iris2/other": b"no", "iri": b"no"})
    asked = access(tmp_path, swift.environment)
    found = resolve(f"s3://{bucket}/iris", asked)
    assert paths(found) == {key.removeprefix("iris/"): (len(data), sha256(data)) for key, data in files.items()}
    assert found.source == {
        "kind": "s3",
        "bucket": bucket,
        "prefix": "iris/",
        "endpoint": swift.endpoint,
        "region": "us-east-1",
    }
    assert resolve(f"s3://{bucket}/iris/", asked).files == found.files
    for data in files.values():
        assert asked.context.blobs.has(f"sha256:{sha256(data)}", len(data))


@pytest.mark.network
def test_one_object_is_a_file(swift: Swift, bucket: str, tmp_path: Path) -> None:
    fill(swift, bucket, {"models/iris.onnx": b"onnx", "top.bin": b"top", "models/iris.onnx.md5": b"no"})
    asked = access(tmp_path, swift.environment)
    found = resolve(f"s3://{bucket}/models/iris.onnx", asked)
    assert paths(found) == {"iris.onnx": (4, sha256(b"onnx"))} and found.source["prefix"] == "models/"
    found = resolve(f"s3://{bucket}/top.bin", asked)
    assert paths(found) == {"top.bin": (3, sha256(b"top"))} and found.source["prefix"] == ""
    with pytest.raises(GoneError, match="has no objects"):
        resolve(f"s3://{bucket}/models/iris.onnx/", asked)


@pytest.mark.network
@pytest.mark.slow
def test_lists_longer_than_a_page(swift: Swift, bucket: str, tmp_path: Path) -> None:
    """Swift gives as many keys per page as its limit says, 1000; a listing with fewer per page is asked for here."""
    files = {f"many/{number:03}": str(number).encode() for number in range(25)}
    fill(swift, bucket, files)
    from buildrules.locking.models import s3

    before = s3.PAGE
    s3.PAGE = 7
    try:
        found = resolve(f"s3://{bucket}/many", access(tmp_path, swift.environment))
    finally:
        s3.PAGE = before
    assert paths(found) == {key.removeprefix("many/"): (len(data), sha256(data)) for key, data in files.items()}


@pytest.mark.network
def test_unchanged_objects_are_not_fetched_again(swift: Swift, bucket: str, tmp_path: Path) -> None:
    fill(swift, bucket, {"m/a": b"a" * 1000, "m/b": b"b" * 1000})
    first = resolve(f"s3://{bucket}/m", access(tmp_path / "1", swift.environment))
    swift.put(bucket, "m/b", b"c" * 1000)
    asked = access(tmp_path / "2", swift.environment, known=first.files)
    second = resolve(f"s3://{bucket}/m", asked)
    assert asked.context.fetched == 1000  # type: ignore[attr-defined] # a Context of tests/support
    assert [file.sha256 for file in second.files] == [sha256(b"a" * 1000), sha256(b"c" * 1000)]


@pytest.mark.network
def test_versions_stay_what_they_were(swift: Swift, tmp_path: Path) -> None:
    bucket = swift.bucket(f"versions-{time.time_ns()}", versions=True)
    fill(swift, bucket, {"m/a": b"first", "m/b": b"same"})
    found = resolve(f"s3://{bucket}/m", access(tmp_path, swift.environment))
    assert all(file.version for file in found.files)
    fill(swift, bucket, {"m/a": b"later"})
    assert fetched(found, found.files[0], swift, tmp_path) == b"first"
    again = resolve(f"s3://{bucket}/m", access(tmp_path, swift.environment, known=found.files))
    assert again.files[1] == found.files[1] and again.files[0].sha256 == sha256(b"later")


def fetched(found: Resolved, file: File, swift: Swift, folder: Path, **environ: str) -> bytes:
    """The file's content, as a container fetches it when it starts."""
    place = folder / "fetched" / file.path
    web = Web()
    transfer.Transfer(
        web.request,
        lambda: sources.locate(found.source, file.to_dict(), {**swift.environment, **environ}, web),
        file.size,
        file.sha256,
        tries=1,
    ).to(str(place))
    return place.read_bytes()


@pytest.mark.network
def test_fetching_at_start(swift: Swift, bucket: str, tmp_path: Path) -> None:
    big = bytes(range(256)) * 20_000
    fill(swift, bucket, {"m/a b+c": big})
    found = resolve(f"s3://{bucket}/m", access(tmp_path, swift.environment))
    (file,) = found.files
    assert fetched(found, file, swift, tmp_path) == big
    (tmp_path / "fetched" / "a b+c").unlink()
    (tmp_path / "fetched" / f".{file.sha256}.part").write_bytes(big[:1_000_000])
    assert fetched(found, file, swift, tmp_path) == big, "a ranged request is signed as well"
    swift.put(bucket, "m/a b+c", b"x" * len(big))
    (tmp_path / "fetched" / "a b+c").unlink()
    with pytest.raises(Failure) as caught:
        fetched(found, file, swift, tmp_path)
    assert caught.value.reason == WRONG
    swift.delete(bucket, "m/a b+c")
    with pytest.raises(Failure) as caught:
        fetched(found, file, swift, tmp_path)
    assert caught.value.reason == MISSING and "NoSuchKey" in caught.value.text


# what can go wrong


@pytest.mark.network
@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"AWS_SECRET_ACCESS_KEY": CANARY}, "403 Forbidden: SignatureDoesNotMatch", "secret access key does not go"),
        ({"AWS_ACCESS_KEY_ID": "nobody:here"}, "403 Forbidden: SignatureDoesNotMatch", "access key id"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "half of the credentials", "set AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "412 Precondition Failed", "AWS_ACCESS_KEY_ID"),
        ({"AWS_REGION": "eu-west-9"}, "AuthorizationHeaderMalformed", "set AWS_REGION=us-east-1"),
    ],
)
def test_refusals(swift: Swift, bucket: str, tmp_path: Path, change: dict[str, str], message: str, hint: str) -> None:
    swift.put(bucket, "m/a", b"a")
    with pytest.raises(FetchError) as caught:
        resolve(f"s3://{bucket}/m", access(tmp_path, {**swift.environment, **change}))
    assert message in caught.value.message and hint in (caught.value.hint or "")
    assert CANARY not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"


@pytest.mark.network
def test_credentials_named_by_a_connection(swift: Swift, bucket: str, tmp_path: Path) -> None:
    swift.put(bucket, "m/a", b"a")
    given = {"STORE_SECRET": "testing", "AWS_SESSION_TOKEN": "of other keys"}
    roles = {"access_key_id": f"={ACCESS_KEY}", "secret_access_key": "STORE_SECRET"}
    asked = access(tmp_path, given, credentials=roles, target=f"{swift.endpoint}/{bucket}")
    found = resolve(f"s3://{bucket}/m", asked)
    assert paths(found) == {"a": (1, sha256(b"a"))}
    assert found.source == {"kind": "s3", "bucket": bucket, "prefix": "m/", "endpoint": swift.endpoint}
    given["STORE_SECRET"] = CANARY
    with pytest.raises(FetchError, match="SignatureDoesNotMatch"):
        resolve(f"s3://{bucket}/m", asked)


@pytest.mark.network
def test_a_bucket_there_is_not(swift: Swift, tmp_path: Path) -> None:
    with pytest.raises(GoneError) as caught:
        resolve("s3://no-such-bucket/m", access(tmp_path, swift.environment))
    assert "404 Not Found: NoSuchBucket" in caught.value.message and "endpoint" in (caught.value.hint or "")


@pytest.mark.network
def test_a_prefix_there_is_not(swift: Swift, bucket: str, tmp_path: Path) -> None:
    swift.put(bucket, "models/iris/a", b"a")
    with pytest.raises(GoneError, match="has no objects"):
        resolve(f"s3://{bucket}/models/iri", access(tmp_path, swift.environment))


@pytest.mark.network
def test_a_clock_that_is_wrong(swift: Swift, bucket: str) -> None:
    source = {"kind": "s3", "bucket": bucket, "endpoint": swift.endpoint}
    url, _ = signed("GET", object_url(source, ""), source, swift.environment)
    headers = sign("GET", url, "us-east-1", Keys(ACCESS_KEY, "testing"), now=time.time() - 3600)
    with pytest.raises(Failure) as caught:
        Web().ask(url, headers)
    assert caught.value.reason == REFUSED
    assert "RequestTimeTooSkewed" in caught.value.text and "clock" in (caught.value.hint or "")


@pytest.mark.slow
def test_nobody_there(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environ = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": CANARY}
    asked = access(tmp_path, {**environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    with pytest.raises(FetchError) as caught:
        resolve("s3://bucket/m", asked)
    assert "connection refused" in caught.value.message and CANARY not in str(vars(caught.value))


@pytest.mark.network
def test_something_else_there(swift: Swift, tmp_path: Path) -> None:
    with pytest.raises(BuildrulesError) as caught:
        resolve("s3://info/m", access(tmp_path, {"AWS_ENDPOINT_URL": f"{swift.endpoint}/info/"}))
    assert caught.value.hint


@pytest.mark.network
@pytest.mark.parametrize("key", ["m/../x", "m//x", "m/a\\b", "m/./x", "m/ /../../x"])
def test_names_that_lead_elsewhere(swift: Swift, bucket: str, tmp_path: Path, key: str) -> None:
    fill(swift, bucket, {"m/good": b"g", key: b"x"})
    with pytest.raises(UsageError, match="cannot become a file"):
        resolve(f"s3://{bucket}/m", access(tmp_path, swift.environment))


@pytest.mark.network
def test_an_absolute_name(swift: Swift, bucket: str, tmp_path: Path) -> None:
    fill(swift, bucket, {"/etc/passwd": b"x"})
    with pytest.raises(UsageError, match="cannot become a file"):
        resolve(f"s3://{bucket}", access(tmp_path, swift.environment))


@pytest.mark.parametrize("uri", ["s3://", "s3:///m", "s3:bucket/m", "s3://b/m", "s3://bucket/../m", "s3://bucket//m"])
def test_uris_that_make_no_sense(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError):
        resolve(uri, access(tmp_path))
