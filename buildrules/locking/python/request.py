"""What a lock is asked for: everything that decides its content, and its digest."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buildrules.actions.python.feeds import ALL, Feeds
from buildrules.actions.python.target import Target
from buildrules.locking.python.requirement import Requirement

if TYPE_CHECKING:
    from buildrules.locking.python.lock import Lock

VERSION = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One environment, or one server on top of an environment (`base`, already locked).

    `root` is the absolute workspace root, `folder` the workspace-relative folder the lock lives in.
    `exclude` are distributions left out on purpose, whoever depends on them.
    """

    name: str
    root: str
    folder: str
    target: Target
    requirements: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...] = ()
    exclude: tuple[str, ...] = ()
    prerelease: bool = False
    feeds: Feeds = ALL
    base: "Lock | None" = None
    base_asker: str = "the environment"

    def inputs(self) -> dict[str, Any]:
        """What the digest is made of, as plain JSON types."""
        from packaging.utils import canonicalize_name

        base = []
        if self.base:
            base = [[p.name, p.version, p.file.sha256 if p.file else p.directory] for p in self.base.packages]
        local = self._local()
        feeds = self.feeds.to_dict()
        return {
            **({"feeds": feeds} if feeds else {}),
            **({"local": local} if local else {}),
            "version": VERSION,
            "target": self.target.to_dict(),
            "requirements": _texts(self.requirements),
            "constraints": _texts(self.constraints),
            "exclude": sorted({canonicalize_name(name) for name in self.exclude}),
            "prerelease": self.prerelease,
            "base": sorted(base, key=str),
        }

    def _local(self) -> dict[str, str]:
        """What the files and folders of the workspace say they need, by the digests of the files it stands in."""
        import hashlib

        found = {}
        for item in (*self.requirements, *self.constraints):
            for path in item.describing_files(self.root):
                with contextlib.suppress(OSError), open(os.path.join(self.root, path), "rb") as file:
                    found[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def digest(self) -> str:
        """`sha256:<hex>` of the inputs: a lock with another one is stale."""
        import hashlib
        import json

        text = json.dumps(self.inputs(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def title(self) -> str:
        """For errors."""
        return f"{self.name!r} on {self.target.platform} with Python {self.target.python}"


def _texts(items: Iterable[Requirement]) -> list[list[str]]:
    return [list(item) for item in sorted({(item.text, *sorted(item.hashes)) for item in items})]
