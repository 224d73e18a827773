"""Models of Hugging Face's hub, or a mirror: `hf://ORG/NAME@REVISION/PATH`, a repository, or what lies below a path.

The hub says the SHA-256 of each large file (git-lfs, xet). Small ones it knows by git's blob id, so they are fetched
once to be locked, and compared with that.

Source: Hugging Face Hub documentation, "Hub API Endpoints" (GET /api/models/{repo}/revision/{revision}, `blobs`) and
"Model Cards" (license, license_name); git, "gitformat-object" (blob ids).
"""

import hashlib
import json
import re
from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import quote, unquote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from buildrules.actions.models.access import Access
from buildrules.actions.models.file import LARGEST, File
from buildrules.errors import FetchError, GoneError, IntegrityError, LoadError, Position, UsageError
from buildrules.locking.models.origin import Resolved
from buildrules.start.failure import Failure
from buildrules.start.huggingface import HUB, endpoint, headers
from buildrules.start.sources import safe_path
from buildrules.workspace.globs import matches
from buildrules.workspace.suggest import did_you_mean

FORM = 'write hub: "ORG/NAME@REVISION", or uri: "hf://ORG/NAME@REVISION/PATH"'
MOST_FILES = 50_000  # the hub does not list more of them at once
LARGEST_SMALL = 64 << 20  # bytes of a file that git keeps itself; the hub wants those above 10 MB in git-lfs
_PAGE = re.compile(r"hf://https?://[^/]+/([^/@]+/[^/@]+).*", re.DOTALL)
_URI = re.compile(
    r"hf://(?:models/)?(?P<repository>\w[\w.-]*/\w[\w.-]*|\w[\w.-]*(?=@|$))"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/]+))?(?:/(?P<path>.*))?",
    re.ASCII,
)
_OTHERS = {"datasets": "dataset", "spaces": "space", "buckets": "bucket"}
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def resolve(uri: str, access: Access) -> Resolved:
    """The files at the commit that the revision names now. Small ones are fetched, unless the lock has them already."""
    source = place(uri)
    source.update(endpoint_at(access.target or access.environ.get("HF_ENDPOINT") or HUB))
    answer = _asked(source, access)
    commit = answer.get("sha")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _nonsense(source, "it names no commit")
    if commit != source["revision"] and _COMMIT.fullmatch(source["revision"]):
        raise _nonsense(source, f"it gives commit {commit} where {source['revision']} is asked for")
    if commit != source["revision"]:
        source["alias"], source["revision"] = source["revision"], commit
    licence = _licence(answer.get("cardData"))
    source.update({"license": licence} if licence else {})
    if answer.get("private") or answer.get("gated"):
        source["restricted"] = True
    rows = answer.get("siblings")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _nonsense(source, "it lists no files")
    listed = [_file(row, source, uri) for row in rows]
    if len(listed) > MOST_FILES:
        raise UsageError(f"{uri!r} has more than {MOST_FILES} files, which the hub does not list", hint="ask its owner")
    source["prefix"], chosen = _below(listed, source.get("prefix", ""), uri)
    chosen = _wanted(chosen, access.wanted, uri)
    files = _digests(chosen, source, access)
    kept = {file.path: file for file in files if not matches(file.path, list(access.excluded))}
    for path, file in kept.items():
        if path.endswith(".index.json"):
            _check_shards(file, kept, source, access)
    return Resolved({name: value for name, value in source.items() if value}, files)


def place(uri: str) -> dict[str, Any]:
    """The source of files below `uri`, at the revision as it is written. Raises UsageError."""
    found = _URI.fullmatch(uri)
    first = uri.removeprefix("hf://").partition("/")[0]
    if first in _OTHERS:
        raise UsageError(f"{uri!r} names a {_OTHERS[first]}, and only models are taken from the hub", hint=FORM)
    if (page := _PAGE.fullmatch(uri)) is not None:
        raise UsageError("the address of a page of the hub is no name of a repository", hint=f"write {page[1]}")
    revision, path = (unquote(found[name] or "") for name in ("revision", "path")) if found else ("", "")
    path = path.rstrip("/")
    if found is None or not safe_path(revision or "main") or (path and not safe_path(path)):
        raise UsageError(f"{uri!r} does not name a repository of Hugging Face", hint=FORM)
    prefix = {"prefix": f"{path}/"} if path else {}
    return {"kind": "huggingface", "repository": found["repository"], "revision": revision or "main", **prefix}


def endpoint_at(target: str) -> dict[str, str]:
    """`endpoint` of a source: the address that a connection or HF_ENDPOINT says, where it is not the usual one."""
    return {} if target.rstrip("/") == HUB else {"endpoint": target.rstrip("/")}


def _asked(source: Mapping[str, Any], access: Access) -> dict[str, Any]:
    """What the hub says of a repository."""
    try:
        base = endpoint(source, access.environ)
    except Failure as failure:
        raise UsageError(failure.text, hint=failure.hint) from None
    url = f"{base}/api/models/{source['repository']}/revision/{quote(source['revision'], safe='')}?blobs=true"
    try:
        data = access.ask(source, lambda armed: (url, headers(armed, url, access.environ)))
    except GoneError as error:  # for the hub a wrong name is refused and a wrong revision gone; neither was locked
        raise FetchError(error.message, hint=error.hint) from None
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _nonsense(source, "it is no JSON object")
    return answer


def _file(row: Mapping[str, Any], source: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """`path`, `size`, and `sha256` or `etag` (git's blob id) of a file that the hub lists."""
    path, lfs, blob = row.get("rfilename"), row.get("lfs"), row.get("blobId")
    if not isinstance(path, str) or not safe_path(path) or not path.isprintable():
        raise UsageError(f"{uri!r} has a file named {path!r}, which cannot be laid in an image", hint="ask its owner")
    size = lfs.get("size", row.get("size")) if isinstance(lfs, dict) else row.get("size")
    sha256 = lfs.get("sha256") if isinstance(lfs, dict) else None
    if type(size) is int and 0 <= size < LARGEST:
        if isinstance(sha256, str) and _SHA256.fullmatch(sha256):
            return {"path": path, "size": size, "sha256": sha256}
        if not lfs and isinstance(blob, str) and _COMMIT.fullmatch(blob) and size <= LARGEST_SMALL:
            return {"path": path, "size": size, "etag": blob}
    raise _nonsense(source, f"it does not say size and digest of {path!r}")


def _below(listed: list[dict[str, Any]], prefix: str, uri: str) -> tuple[str, list[dict[str, Any]]]:
    """(prefix, files with paths below it) of a folder, or of the one file of that name. Raises FetchError."""
    found = [file for file in listed if file["path"].startswith(prefix)]
    if not found:
        name = prefix[:-1]
        prefix = name[: name.rfind("/") + 1]
        found = [file for file in listed if file["path"] == name]
    if not found:
        paths = {file["path"] for file in listed}
        paths |= {path.rpartition("/")[0] for path in paths} - {""}
        raise FetchError(f"{uri!r} has no files", hint=did_you_mean(name, paths, what="there are"))
    return prefix, [{**file, "path": file["path"][len(prefix) :]} for file in found]


def _wanted(files: list[dict[str, Any]], globs: Mapping[str, Position | None], uri: str) -> list[dict[str, Any]]:
    """Those that one of the globs of `files` matches; all, where there are none."""
    chosen: dict[str, dict[str, Any]] = {}
    for glob, position in globs.items():
        found = {file["path"]: file for file in files if matches(file["path"], [glob])}
        if not found:
            names = (file["path"] for file in files)
            hint = did_you_mean(glob, names, what="it has")
            raise LoadError(f"'{glob}' of `files` is nothing in {uri!r}", hint=hint, position=position)
        chosen |= found
    return list(chosen.values()) or files


def _digests(files: list[dict[str, Any]], source: Mapping[str, Any], access: Access) -> list[File]:
    """The files with their SHA-256; those that only git knows are fetched. Raises IntegrityError."""
    known: dict[tuple[Any, ...], str] = {
        (file.path, file.size, file.etag): file.sha256 for file in access.known if file.etag
    }
    for file in files:
        sha256 = known.get((file["path"], file["size"], file.get("etag")))
        file.update({"sha256": sha256} if sha256 else {})
    unknown = [file for file in files if "sha256" not in file]
    for file, (_, sha256) in zip(unknown, access.take_all(source, unknown), strict=True):
        data = access.context.blobs.read(f"sha256:{sha256}")
        head = b"blob %d\0" % len(data)
        git = hashlib.sha1(head, usedforsecurity=False) if len(file["etag"]) == 40 else hashlib.sha256(head)
        git.update(data)
        if git.hexdigest() != file["etag"]:
            raise IntegrityError(
                f"{file['path']!r} of {access.name!r} is not what the hub says: git's id of it is {git.hexdigest()}, "
                f"and {file['etag']} is expected",
                hint="a mirror or proxy on the way may be to blame; try again, or another HF_ENDPOINT",
            )
        file["sha256"] = sha256
    return [File(**file) for file in files]


def _check_shards(index: File, paths: Container[str], source: Mapping[str, Any], access: Access) -> None:
    """Raise LoadError where weights in several files lack one that their index names (transformers, "Big models")."""
    if index.size > LARGEST_SMALL:
        return
    access.take(source, index.to_dict())
    try:
        named = json.loads(access.context.blobs.read(f"sha256:{index.sha256}"))["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # an index of something else
    folder = index.path[: index.path.rfind("/") + 1]
    missing = sorted({str(name) for name in named if f"{folder}{name}" not in paths})
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        are = "are" if more else "is"
        raise LoadError(
            f"{index.path!r} names {missing[0][:200]!r}{more}, which {are} not among the model's files",
            hint="add the missing ones to `files`, or take them out of `exclude`, or leave the index out as well; if "
            "the repository lacks them, ask its owner",
            position=next((at for glob, at in access.excluded.items() if matches(missing[0], [glob])), None),
        )


def _licence(card: Any) -> str | None:
    """The licence of a model card as an SPDX expression; LicenseRef-NAME for those that SPDX does not know."""
    said = card.get("license") if isinstance(card, dict) else None
    names = said if isinstance(said, list) else [said]
    if names == ["other"] and isinstance(card.get("license_name"), str):
        names = [card["license_name"]]
    return " AND ".join(sorted({_spdx(name) for name in names[:16] if isinstance(name, str) and name})) or None


def _spdx(name: str) -> str:
    plain = _UNFIT.sub("-", name)[:64]
    try:
        return str(canonicalize_license_expression(plain))
    except InvalidLicenseExpression:
        return f"LicenseRef-{plain}"


def _nonsense(source: Mapping[str, Any], why: str) -> FetchError:
    at = source.get("endpoint", HUB)
    return FetchError(
        f"{at} does not answer as Hugging Face's hub does: {why}", hint="check the hub's address, as in HF_ENDPOINT"
    )
