"""The disk as a load and its plan see it. Whoever decides something by what lies there asks here, and is written down.

So what an answer depends on is known without ledgers carried by hand, and a test can say which files were opened.
"""

import os
from collections.abc import Iterable

from buildrules.sha256 import hex_digest
from buildrules.state.rows import Stat, names_digest, row_of, shape_of
from buildrules.workspace.root import Listing, Packages, find_packages, read_file

CONTENT, NAMES, SHAPE, SEARCHED = "content", "names", "shape", "searched"
"""What of a path mattered: what a file says; what a directory holds; whether a file, a directory or nothing is there;
which packages a directory leads to."""

_SEVERAL = "several"


class Disk:
    """Reads below `root` (absolute) and records what was looked at, and for whom.

    Paths are workspace-relative with "" for the root; absolute ones are taken too, and are recorded relative where they
    lie below the root. A reader is "" for the workspace as a whole, `//package` for its BUILD.yaml and a label for a
    target: `disk.by(label)` records under its name.
    """

    __slots__ = ("_ahead", "_reader", "_seen", "digests", "found", "listings", "root", "rows")

    def __init__(self, root: str) -> None:
        self.root = root
        self._reader = ""
        self._seen: dict[tuple[str, str, str], int] = {}
        self.rows: dict[str, Stat | None] = {}  # of each path, from before it was looked at
        self.digests: dict[str, str] = {}  # sha256 (hex) of what was read, by path; none where two looks found several
        self.found: dict[tuple[str, str], str | None] = {}  # shapes, and digests of names, as they were when looked at
        self.listings: dict[str, Listing] = {}  # of the directories that were searched for packages
        self._ahead: dict[str, bytes] = {}  # files that the search for packages has read already, by absolute path

    def by(self, reader: object) -> "Disk":
        """The same disk and the same record, looked at by `reader` from now on."""
        other = Disk(self.root)
        other._reader = str(reader)
        other._seen, other._ahead = self._seen, self._ahead
        other.rows, other.digests, other.found, other.listings = self.rows, self.digests, self.found, self.listings
        return other

    def path(self, path: str) -> str:
        """The absolute path, recorded nowhere: for what is named and not looked at."""
        return os.path.join(self.root, path) if path else self.root

    def read(self, path: str) -> bytes:
        """What a file says. Raises OSError, also for what is no regular file, above 16 MiB, or reached by a link that
        leads out of the workspace."""
        self.note(CONTENT, path)
        absolute = self.path(path)
        data = self._ahead.pop(absolute, None)
        if data is None:
            inside = absolute.startswith(self.root.rstrip("/") + "/")
            data = read_file(absolute, self.root if inside else "")
        place, digest = self._relative(path), hex_digest(data)
        if self.digests.setdefault(place, digest) != digest:
            self.digests[place] = _SEVERAL
        return data

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted. Raises OSError."""
        self.note(NAMES, path)
        return sorted(os.listdir(self.path(path)))

    def is_file(self, path: str) -> bool:
        """Whether a regular file, or a link to one, is at a path."""
        self.note(SHAPE, path)
        return os.path.isfile(self.path(path))

    def is_directory(self, path: str) -> bool:
        """Whether a directory, or a link to one, is at a path."""
        self.note(SHAPE, path)
        return os.path.isdir(self.path(path))

    def exists(self, path: str) -> bool:
        """Whether anything is at a path, and be it a link to nothing."""
        self.note(SHAPE, path)
        return os.path.lexists(self.path(path))

    def packages(self, ignore: list[str] | tuple[str, ...]) -> Packages:
        """The packages of the workspace, see `find_packages`."""
        found = find_packages(self.root, ignore, self._read_ahead)
        for path, row in found.rows.items():
            self.rows.setdefault(path, row)
        self.note(SEARCHED, *found.directories)
        self.listings.update(found.listings)
        # Without its `workspace:` key such a file is one of this workspace's packages.
        self.note(CONTENT, *found.nested)
        return found

    def _read_ahead(self, path: str) -> bytes:
        self._begin(self._relative(path))
        data = self._ahead[path] = read_file(path, self.root)
        return data

    def note(self, what: str, *paths: str) -> None:
        """Record that `what` of these paths mattered to somebody who looks with means of its own.

        It is looked at now, and not when all is planned: what changes in between must not pass for what was seen.
        """
        for path in paths:
            place = self._relative(path) if path.startswith("/") else path
            self._begin(place)
            key = (what, place, self._reader)
            self._seen[key] = self._seen.get(key, 0) + 1
            if what in (SHAPE, NAMES) and (what, place) not in self.found:
                absolute = self.path(place)
                self.found[what, place] = shape_of(absolute) if what == SHAPE else names_digest(absolute)

    def _begin(self, place: str) -> None:
        if place not in self.rows:
            self.rows[place] = row_of(self.path(place))

    def written(self, path: str) -> None:
        """A file was written by whoever looks: what was there before is no news to them.

        What is there now may be another's by the time that it is looked at, so it has the row of nothing.
        """
        self.found.pop((SHAPE, path), None)
        self.digests.pop(path, None)
        self.rows[path] = None

    def times(self, what: str, path: str) -> int:
        """How often `what` of a path was looked at, by whomever."""
        return sum(count for (kind, seen, _), count in self._seen.items() if (kind, seen) == (what, path))

    def seen(self, what: str) -> list[str]:
        """The paths of which `what` mattered, sorted."""
        return sorted({path for kind, path, _ in self._seen if kind == what})

    def readers(self, what: str) -> Iterable[tuple[str, str]]:
        """(path, reader) of which `what` mattered."""
        return ((path, reader) for kind, path, reader in self._seen if kind == what)

    def _relative(self, path: str) -> str:
        if path == self.root:
            return ""
        return path.removeprefix(self.root.rstrip("/") + "/")
