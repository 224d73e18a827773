"""Models in S3-compatible storage: `s3://BUCKET/PREFIX`, an object or what lies below a prefix.

Source: Amazon S3 API Reference, "ListObjectsV2" and "HeadObject".
"""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree

from buildrules.actions.models.access import Access
from buildrules.actions.models.file import File
from buildrules.errors import FetchError, GoneError, UsageError
from buildrules.locking.models.origin import Resolved
from buildrules.start import s3 as start
from buildrules.start.header import DIGITS
from buildrules.start.s3 import keys_of, object_url, signed
from buildrules.start.sources import safe_path

MOST_FILES = 100_000
ENDPOINT = "check that the endpoint is that of an S3-compatible store"
MOST_EMPTY = 100  # answers without an object one after the other, which a store may give while it looks for more
PAGE = 1000  # keys per answer, the most there may be
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_AMAZON = re.compile(r"(?:^|\.)s3[.-]([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$")


class _Object(NamedTuple):
    key: str
    size: int
    etag: str | None


def resolve(uri: str, access: Access) -> Resolved:
    """The objects there are now; each is fetched once, unless the lock has its ETag or version already."""
    source = place(uri)
    source.update(surroundings(source["bucket"], access))
    return resolve_at(source, uri, access)


def place(uri: str) -> dict[str, Any]:
    """The source of files below `uri`; the endpoint is that of the surroundings."""
    bucket, _, prefix = uri.partition("://")[2].partition("/")
    if (
        not uri.startswith("s3://")
        or not _BUCKET.fullmatch(bucket)
        or (prefix and not safe_path(prefix.removesuffix("/")))
    ):
        raise UsageError(f"{uri!r} does not name an object or prefix of a bucket", hint="write s3://BUCKET/PREFIX")
    prefix = prefix.rstrip("/")
    return {"kind": "s3", "bucket": bucket, "prefix": f"{prefix}/" if prefix else ""}


def surroundings(bucket: str, access: Access) -> dict[str, Any]:
    """What a bucket's source has besides: `endpoint`, of the connection or AWS_ENDPOINT_URL, `region`, `anonymous`."""
    found: dict[str, Any] = {**start.surroundings(access.environ), **endpoint_at(bucket, access.target or "")}
    amazon = _AMAZON.search(urlsplit(found.get("endpoint", "")).hostname or "")
    if amazon:
        found.setdefault("region", amazon.group(1))
    return {**found, "anonymous": True} if access.anonymous else found


def resolve_at(source: Mapping[str, Any], uri: str, access: Access) -> Resolved:
    """The objects below the prefix of `source`, else the one object of that name."""
    prefix: str = source["prefix"]
    objects = list(_listed(source, prefix, uri, access))
    if not objects and prefix and not uri.endswith("/"):
        key = prefix[:-1]
        prefix = key[: key.rfind("/") + 1]
        objects = [item for item in _listed(source, key, uri, access, most=1) if item.key == key]
    if not objects:
        raise GoneError(f"{uri!r} has no objects", hint="check the prefix, and that it was uploaded")
    source = {**source, "prefix": prefix}
    files = [_wanted(item, prefix, uri) for item in objects]
    _find_versions(source, files, access)
    unknown = [file for file in files if not file.get("sha256")]
    for file, (size, sha256) in zip(unknown, access.take_all(source, unknown), strict=True):
        file.update(size=size, sha256=sha256)
    return Resolved(source, [File(**file) for file in files])


def _wanted(item: _Object, prefix: str, uri: str) -> dict[str, Any]:
    path = item.key.removeprefix(prefix)
    if not item.key.startswith(prefix) or not safe_path(path):
        raise UsageError(
            f"{uri!r} has an object named {item.key!r}, which cannot become a file", hint="rename or remove it"
        )
    found: dict[str, Any] = {"path": path, "size": item.size}
    return found | ({"etag": item.etag} if item.etag else {})


def _find_versions(source: Mapping[str, Any], files: list[dict[str, Any]], access: Access) -> None:
    """Give the files the versions that are current, where the bucket has versions and they may be read."""

    def version(file: dict[str, Any], known: str | None = None) -> str | None:
        query = [("versionId", known)] if known else []
        url = object_url(source, source["prefix"] + file["path"], query)
        headers, _ = access.answer(source, partial(signed, "HEAD", url, environ=access.environ), "HEAD")
        if headers.get("ETag"):
            file["etag"] = headers["ETag"]
        found = headers.get("x-amz-version-id")
        return found if found != "null" else None

    first = version(files[0])
    if first:
        try:
            version(files[0], first)
        except FetchError:  # reading versions takes a permission of its own
            first = None
    if first:
        with ThreadPoolExecutor(8, thread_name_prefix="head") as pool:
            for file, found in zip(files, pool.map(version, files), strict=True):
                if found:
                    file["version"] = found
    known: dict[tuple[Any, ...], str] = {
        (file.path, file.size, file.version, file.etag): file.sha256 for file in access.known if file.etag
    }
    for file in files:
        sha256 = known.get((file["path"], file["size"], file.get("version"), file.get("etag")))
        if sha256:
            file["sha256"] = sha256


def _listed(
    source: Mapping[str, Any], prefix: str, uri: str, access: Access, most: int | None = None
) -> Iterator[_Object]:
    """The objects whose keys start with `prefix`, without the empty ones that stand for folders."""
    count, empty, token = 0, 0, ""
    seen: set[str] = set()
    while True:
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)]
        query += [("continuation-token", token)] if token else []
        query += [("max-keys", str(most or PAGE))]
        url = object_url(source, "", query)
        try:
            data = access.ask(source, partial(signed, "GET", url, environ=access.environ))
        except FetchError as error:
            error.hint = error.hint or _doubt(source, access)
            raise
        answer = _parsed(data, uri)
        for item in answer.iter("Contents"):
            found = _object(item, answer, uri)
            count += 1
            if count > MOST_FILES:
                raise UsageError(f"{uri!r} has more than {MOST_FILES} objects", hint="name the prefix of one model")
            if not found.key.endswith("/") or found.size:
                yield found
        following = answer.findtext("NextContinuationToken") or ""
        if most or answer.findtext("IsTruncated") != "true":
            return
        empty = 0 if answer.find("Contents") is not None else empty + 1
        if not following or following in seen or empty > MOST_EMPTY:
            raise FetchError(
                f"the list of objects of {uri!r} is cut short", hint="try again, or ask who runs the store"
            )
        token = following
        seen.add(token)


def _parsed(data: bytes, uri: str) -> ElementTree.Element:
    """An answer without its namespace, which not all stores give."""
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - expat limits what entities may grow to
    except ElementTree.ParseError:
        root = None
    for element in root.iter() if root is not None else ():
        element.tag = element.tag.rpartition("}")[2]
    if root is None or root.tag != "ListBucketResult":
        raise FetchError(f"the endpoint of {uri!r} does not answer as S3 does", hint=ENDPOINT)
    return root


def _doubt(source: Mapping[str, Any], access: Access) -> str:
    """What may be wrong where an answer says nothing: some stores take an unsigned request for no request of S3's."""
    if keys_of(access.armed(source), access.environ):
        return ENDPOINT
    return f"{ENDPOINT}; the request had no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to give some"


def _object(item: ElementTree.Element, answer: ElementTree.Element, uri: str) -> _Object:
    key, size = item.findtext("Key"), item.findtext("Size") or ""
    if not key or not size.isdecimal() or len(size) > DIGITS:
        raise FetchError(f"the list of objects of {uri!r} has one without name or size")
    if answer.findtext("EncodingType") == "url":
        key = unquote_plus(key)
    return _Object(key, int(size), item.findtext("ETag"))


def endpoint_at(bucket: str, target: str) -> dict[str, str]:
    """`endpoint`, where the address of a connection is one."""
    return {"endpoint": _endpoint(target, bucket)} if urlsplit(target).scheme in ("http", "https") else {}


def _endpoint(target: str, bucket: str) -> str:
    """The endpoint a connection's target means, which may name the bucket as well."""
    target = target.rstrip("/")
    scheme, _, rest = target.partition("://")
    if rest.startswith(f"{bucket}."):
        return f"{scheme}://{{bucket}}{rest.removeprefix(bucket)}"
    return target.removesuffix(f"/{bucket}")
