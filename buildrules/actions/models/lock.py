"""The lock of a model that is not in the workspace: which files its uri named when somebody last looked.

`model.<target>.lock` beside the BUILD.yaml, TOML, for all platforms. It holds the uri as written, the source it was
resolved to (a tag's digest, an alias's version), the files with sizes and digests, and no credential.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildrules.actions.models.file import LARGEST, OPTIONAL, File, check_files
from buildrules.errors import BuildrulesError
from buildrules.start.huggingface import HUB
from buildrules.store import lockfile
from buildrules.store.lockfile import unreadable

VERSION = 1
_HEAD = "# Written by 'buildrules lock'. Pins a model that is kept elsewhere; commit it.\n"
_OF_VERSION = {"version", "uri", "artifacts", "prefix", "model_id"}  # what a registered model's version brings with it
SOURCES = {
    "http": ("url",),
    "oci": ("registry", "repository"),
    "s3": ("bucket",),
    "mlflow": ("artifacts", "tracking_uri"),
    "huggingface": ("repository", "revision"),
}
"""What a source of each kind (`start.sources`) cannot do without."""
_ASKED = ("uri", "digest", "unpack", "tracking_uri")  # what a target says that its lock depends on
_FIELDS: dict[str, type] = {"path": str, "size": int, "sha256": str}


@dataclass(frozen=True, slots=True)
class ModelLock:
    """What a model's uri is pinned to. `inputs` is the digest of what the target says about it."""

    uri: str
    inputs: str
    source: Mapping[str, Any]
    files: Sequence[File]
    archives: Sequence[File] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def version(self) -> str | None:
        """The version of a registered model, or the commit of a repository."""
        return self.source.get("version") or self.source.get("revision")

    @property
    def license(self) -> str | None:
        """What the model card says, as an SPDX expression."""
        return self.source.get("license")

    @property
    def card(self) -> str | None:
        """The address of the model card, at the commit."""
        if self.source["kind"] != "huggingface":
            return None
        return f"{self.source.get('endpoint') or HUB}/{self.source['repository']}/tree/{self.source['revision']}"


def lock_name(name: str) -> str:
    """The file name of the lock of the model `name`."""
    return f"model.{name}.lock"


def inputs_digest(values: Mapping[str, Any]) -> str:
    """`sha256:<hex>` over what a target says that its lock depends on."""
    files = [values["files"]] if values.get("files") else []
    if values.get("exclude") and str(values.get("uri")).startswith("hf:"):  # its indexes are looked into while locking
        files.append(["exclude", *values["exclude"]])
    return lockfile.inputs_digest([VERSION, *(values.get(name) or "" for name in _ASKED), *files])


def changes(old: ModelLock, new: ModelLock) -> list[str]:
    """What a new lock says that the old one did not, one line each."""
    lines = [] if old.uri == new.uri else [f"uri {old.uri} -> {new.uri}"]
    word = "revision" if new.source.get("kind") == "huggingface" else "version"
    versions = old.source.get(word), new.source.get(word)
    moved = None not in versions and versions[0] != versions[1]
    if moved:
        alias = new.source.get("alias")
        lines.append(f"{f'{alias}: ' if alias else ''}{word} {versions[0]} -> {versions[1]}")
    for name in sorted({*old.source, *new.source} - ({*_OF_VERSION, word} if moved else set())):
        before, after = old.source.get(name, "nothing"), new.source.get(name, "nothing")
        if before != after:
            lines.append(f"{name} {before} -> {after}")
    before_files, after_files = ({file.path: file for file in lock.files} for lock in (old, new))
    for path in sorted({*before_files, *after_files}):
        ours, theirs = before_files.get(path), after_files.get(path)
        if ours is None or theirs is None:
            lines.append(f"{'+' if ours is None else '-'} {path}")
        elif ours.sha256 != theirs.sha256:
            lines.append(f"{path} sha256:{ours.sha256[:12]} -> sha256:{theirs.sha256[:12]}")
    return lines


def write_lock(path: str, lock: ModelLock) -> None:
    """Write the lock to the file `path`. Raises LockError."""
    import tomli_w

    data: dict[str, Any] = {"version": VERSION, "uri": lock.uri, "inputs": lock.inputs, "source": dict(lock.source)}
    if lock.archives:
        data["archives"] = [file.to_dict() for file in lock.archives]
    data["files"] = [file.to_dict() for file in lock.files]
    lockfile.write_whole(path, _HEAD + tomli_w.dumps(data))


def read_lock(path: str) -> ModelLock:
    """The lock in the file `path`. Raises LockError where there is none or it is malformed."""
    data = lockfile.read_tables(path)
    lockfile.check_version(path, data, VERSION)
    source = data.get("source")
    if not isinstance(data.get("uri"), str) or not isinstance(data.get("inputs"), str) or not isinstance(source, dict):
        raise unreadable(path, "`uri`, `inputs` or `source` is missing")
    _check_source(path, source)
    files = _files(path, data.get("files"))
    archives = _files(path, data.get("archives", []))
    try:
        check_files(data["uri"], files)
    except BuildrulesError as error:
        raise unreadable(path, error.message) from error
    known = {archive.sha256 for archive in archives}
    if any(file.archive is not None and file.archive not in known for file in files):
        raise unreadable(path, "a file is in an archive that it does not list")
    return ModelLock(data["uri"], data["inputs"], source, files, archives)


def _check_source(path: str, source: Mapping[str, Any]) -> None:
    """Raise LockError for a source that cannot be fetched from, or that names credentials: only connections do."""
    needed = SOURCES.get(str(source.get("kind")))
    if needed is None:
        raise unreadable(path, f"no kind of source is named {source.get('kind')!r}")
    for name in needed:
        if not isinstance(source.get(name), str):
            raise unreadable(path, f"its source has no `{name}`")
    if "credentials" in source or "within" in source:
        raise unreadable(path, "its source names credentials")
    for value in source.values():
        if isinstance(value, str) and "@" in value.partition("://")[2].partition("/")[0]:
            raise unreadable(path, "its source holds a user name or password")


def _files(path: str, rows: Any) -> list[File]:
    if not isinstance(rows, list):
        raise unreadable(path, "`files` is not a list")
    found = []
    for row in rows:
        if not isinstance(row, dict) or any(type(row.get(name)) is not kind for name, kind in _FIELDS.items()):
            raise unreadable(path, "a file needs `path`, `size` and `sha256`")
        more = {name: row[name] for name in OPTIONAL if name in row}
        if set(row) - set(_FIELDS) - set(more) or not all(isinstance(value, str) for value in more.values()):
            raise unreadable(path, f"the file {row['path']!r} has fields that no file has")
        for digest in filter(None, (row["sha256"], more.get("archive"))):
            if len(digest) != 64 or digest.strip("0123456789abcdef"):
                raise unreadable(path, f"{digest!r} is not a sha256 digest")
        if not 0 <= row["size"] < LARGEST:
            raise unreadable(path, f"the file {row['path']!r} has no sensible size")
        found.append(File(row["path"], row["size"], row["sha256"], **more))
    return found
