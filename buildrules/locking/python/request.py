"""What a lock is asked for: everything that decides its content, and its digest."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from buildrules.actions.python.feeds import ALL, Feeds
from buildrules.actions.python.sources import Source
from buildrules.actions.python.target import Target
from buildrules.locking.python.collector import Requirements
from buildrules.locking.python.projects import Projects
from buildrules.locking.python.requirement import Requirement
from buildrules.store.lockfile import inputs_digest

if TYPE_CHECKING:
    from buildrules.locking.python.lock import Lock

VERSION = 1


@dataclass(frozen=True, slots=True)
class EnvironmentRequest:
    """One environment, or one server on top of an environment (`base`, already locked).

    `root` is the absolute workspace root, `folder` the workspace-relative folder the lock lives in.
    `provided` are distributions, and their versions, that are there without a wheel. `assigned` are the
    packages that come from one index only, which the lock tells of those that are in it. `limits` are versions that it
    has to have now, and those `preferred` are taken where they fit: neither is part of what it asks for. `called` is
    what it is for people, where that is not its name.
    """

    name: str
    root: str
    folder: str
    target: Target
    asked: Requirements
    feeds: Feeds = ALL
    base: "Lock | None" = None
    base_asker: str = "the environment"
    assigned: Mapping[str, Source] = field(default_factory=dict)
    provided: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    preferred: Mapping[str, str] = field(default_factory=dict)
    called: str = ""
    projects: Projects | None = field(default=None, compare=False, repr=False)

    def inputs(self) -> dict[str, Any]:
        """What the digest is made of, as plain JSON types."""
        asked, base = self.asked, []
        if self.base:
            base = [[p.name, p.version, p.file.sha256 if p.file else p.directory] for p in self.base.packages]
        local = self._local()
        feeds = self.feeds.to_dict()
        settings = self.local_projects().settings()
        return {
            **({"uv": settings} if settings else {}),
            **({"feeds": feeds} if feeds else {}),
            **({"provided": dict(self.provided)} if self.provided else {}),
            **({"preferences": asked.preferences} if asked.preferences else {}),
            **({"require_hashes": True} if asked.require_hashes else {}),
            **({"local": local} if local else {}),
            **({"declared": {path: list(one) for path, one in asked.declared.items()}} if asked.declared else {}),
            "version": VERSION,
            "target": self.target.to_dict(),
            "requirements": _texts(asked.items),
            "constraints": _texts(asked.constraints),
            "exclude": sorted({canonicalize_name(name) for name in asked.exclude}),
            "prerelease": asked.prerelease,
            "base": sorted(base, key=str),
        }

    def _local(self) -> dict[str, str]:
        """The digests of the wheels and source archives of the workspace. What folders ask for is told by the lock."""
        import hashlib

        found = {}
        for item in self.asked.all():
            if item.local:
                with contextlib.suppress(OSError), open(os.path.join(self.root, item.text), "rb") as file:
                    found[item.text] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def digest(self) -> str:
        """`sha256:<hex>` of the inputs: a lock with another one is stale."""
        return inputs_digest(self.inputs())

    @property
    def path(self) -> str:
        """The workspace-relative path of its lock."""
        from buildrules.locking.python.lock import lock_filename

        return os.path.join(self.folder, lock_filename(self.name, self.target.platform))

    def local_projects(self) -> Projects:
        """The projects of the workspace, as far as somebody has looked at them."""
        return self.projects or Projects(self.root)

    def title(self) -> str:
        """For errors."""
        return f"{self.called or repr(self.name)} on {self.target.platform} with Python {self.target.python}"


def _texts(items: Iterable[Requirement]) -> list[list[str]]:
    return [list(item) for item in sorted({(item.asked(), *sorted(item.hashes)) for item in items})]
