"""A hub as Hugging Face's: repositories with branches, git-lfs files in a store at another address, private and gated.

It speaks what is asked of it here and by huggingface_hub: GET /api/models/ID/revision/REV, GET /api/models/ID/tree/REV,
GET and HEAD /ID/resolve/REV/FILE.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.web import Answering, Web

LARGE = (".safetensors", ".bin")
"""Endings of files that git-lfs keeps."""


def blob_id(data: bytes) -> str:
    """Git's id of a file (git, "gitformat-object")."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(data: bytes) -> bytes:
    """What git has of a file that git-lfs keeps."""
    digest = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()


@dataclass
class Repository:
    """`commits` has the files of each; `refs` the commits of branches and tags."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def at(self, revision: str) -> str | None:
        """The commit that a revision names."""
        return self.refs.get(revision, revision if revision in self.commits else None)


class Hub(Web):
    """The hub; `store` is where its large files are. `wanted` lets into private and gated repositories."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.store = Web()
        self.renamed: dict[str, str] = {}
        self.tampered: dict[str, Any] = {}  # what it says instead, by repository
        super().__init__()

    def kind(self) -> type[Answering]:
        return _Hub

    def close(self) -> None:
        super().close()
        self.store.close()

    def commit(self, name: str, files: dict[str, bytes], ref: str = "main", **more: Any) -> str:
        """A commit with these files, to which `ref` leads from now on; `more` are fields of the repository."""
        repository = self.repositories.setdefault(name, Repository())
        for key, value in more.items():
            setattr(repository, key, value)
        told = repr((name, sorted(files.items()), len(repository.commits)))
        commit = hashlib.sha1(told.encode()).hexdigest()
        repository.commits[commit] = files
        repository.refs[ref] = commit
        for path, data in files.items():
            if path.endswith(LARGE):
                self.store.files[f"/lfs/{hashlib.sha256(data).hexdigest()}"] = data
        return commit

    def resolved(self, name: str) -> list[str]:
        """The paths of files of a repository that were asked for (GET)."""
        start = f"/{name}/resolve/"
        return [path[len(start) :].partition("/")[2] for path, _ in self.seen if path.startswith(start)]


class _Hub(Answering):
    """Answers as the hub does, errors with its codes (huggingface_hub, `utils/_http.py`)."""

    web: Hub

    def do_GET(self) -> None:
        self._hub(head=False)

    def do_HEAD(self) -> None:
        self._hub(head=True)

    def _hub(self, *, head: bool) -> None:
        hub, parts = self.web, urlsplit(self.path)
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        if not head:
            hub.seen.append(("/" + "/".join(steps), dict(self.headers)))
        fault = hub.faults[parts.path].pop(0) if hub.faults[parts.path] else ""
        if fault.isdecimal():
            return self._fail(int(fault), "")
        api = steps[:2] == ["api", "models"]
        name, rest = "/".join(steps[2:4] if api else steps[:2]), steps[4:] if api else steps[2:]
        if name in hub.renamed:
            return self._plain(307, b"", Location=self.path.replace(name, hub.renamed[name], 1))
        repository = hub.repositories.get(name)
        known = hub.wanted is not None and self.headers.get("Authorization") == hub.wanted
        if repository is None or (repository.private and not known):
            return self._fail(404 if known else 401, "RepoNotFound")
        commit = repository.at(rest[1]) if len(rest) > 1 else None
        if commit is None:
            return self._fail(404, "RevisionNotFound")
        if api:
            return self._json(self._info(name, repository, commit, rest[0], parts.query))
        if repository.gated and not known:
            return self._fail(403 if "Authorization" in self.headers else 401, "GatedRepo")
        path = "/".join(rest[2:])
        if path not in repository.commits[commit]:
            return self._fail(404, "EntryNotFound")
        return self._file(path, repository.commits[commit][path], commit, fault, head=head)

    def _info(self, name: str, repository: Repository, commit: str, what: str, query: str) -> Any:
        if name in self.web.tampered:
            return self.web.tampered[name]
        files = repository.commits[commit]
        if what == "tree":
            return [
                {"type": "file", "path": path, "oid": _oid(path, data), "size": len(data)}
                | ({"lfs": {"oid": _sha256(data), "size": len(data), "pointerSize": 134}} if _large(path) else {})
                for path, data in files.items()
            ]
        rows: list[dict[str, Any]] = [{"rfilename": path} for path in files]
        if "blobs" in parse_qs(query):
            for row, (path, data) in zip(rows, files.items(), strict=True):
                row.update(size=len(data), blobId=_oid(path, data))
                if _large(path):
                    row["lfs"] = {"sha256": _sha256(data), "size": len(data), "pointerSize": 134}
        facts = {"private": repository.private, "gated": "manual" if repository.gated else False}
        return {"_id": "1", "id": name, "sha": commit, "siblings": rows, "cardData": repository.card, **facts}

    def _file(self, path: str, data: bytes, commit: str, fault: str, *, head: bool) -> None:
        headers = {"X-Repo-Commit": commit}
        if _large(path):
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{_sha256(data)}"'}
            where = f"{self.web.store.url}/lfs/{_sha256(data)}?Signature=of-the-store"
            return self._plain(302, b"", Location=where, **headers)
        headers["ETag"] = f'"{blob_id(data)}"'
        data = bytes(reversed(data)) if fault == "wrong" else data
        if head:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            return self.end_headers()
        return self._plain(200, data, **headers)

    def _json(self, data: Any) -> None:
        self._plain(
            200, data if isinstance(data, bytes) else json.dumps(data).encode(), **{"Content-Type": "application/json"}
        )

    def _fail(self, status: int, code: str) -> None:
        self._plain(status, b"", **({"X-Error-Code": code} if code else {}))


def _large(path: str) -> bool:
    return path.endswith(LARGE)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _oid(path: str, data: bytes) -> str:
    return blob_id(pointer(data) if _large(path) else data)
