"""What a plan was made from, and whether that still is so. While it is, the plan holds, whatever its rows say.

An editor that saves what was there already, a checkout of the same content, a new file in a directory that was searched
for packages: the rows differ and the plan is the right one.
"""

import os
from collections.abc import Callable, Iterable

from buildrules.state.rows import RACY_NS, Stat, modified, names_digest, open_regular, row_of, shape_of
from buildrules.typed import Any, NamedTuple

_TICK_NS = 50_000_000  # more than the tick of the clock that stamps files
_SECOND_NS = 1_000_000_000

Search = Callable[[str], Any]
"""What a directory (workspace-relative) means to the search for packages, as plain data."""


class Facts(NamedTuple):
    """What mattered to the plan in one directory: names below it, with what they must go on being."""

    at: str  # workspace-relative
    files: dict[str, str | None]  # name -> sha256 of the content; None where it is not known what the plan read
    shapes: dict[str, str]  # name -> "file" or "nothing"; "" -> "directory", of this one itself
    names: str | None  # digest of all names in it
    searched: Any  # what `Search` said of it, None where nobody searched it
    rows: dict[str, Stat | None]  # of names, and of this one itself by "", from before they were looked at

    def agree(self, older: "Facts") -> bool:
        """Whether two plans saw the same where both looked. They may not, though each held at its time: what changed
        in between may have changed back."""
        return (
            all(older.files.get(name, digest) == digest for name, digest in self.files.items())
            and all(older.shapes.get(name, shape) == shape for name, shape in self.shapes.items())
            and (self.names is None or older.names in (None, self.names))
            and (self.searched is None or older.searched in (None, self.searched))
        )

    def with_older(self, older: "Facts") -> "Facts":
        """These, and what mattered to an older plan that still holds, and agrees."""
        return Facts(
            self.at,
            {**older.files, **self.files},
            {**older.shapes, **self.shapes},
            self.names or older.names,
            self.searched or older.searched,
            {**older.rows, **self.rows},
        )

    def renewed(self, root: str) -> "Facts":
        """The same with the rows of now, for whoever asks next whether they hold."""
        folder = os.path.join(root, self.at)
        return self._replace(rows={name: row_of(f"{folder}/{name}" if name else folder) for name in self.rows})

    def hold(self, root: str, search: Search | None) -> bool:
        """Whether the plan would find the same; without `search` as far as packages here do not matter."""
        folder = os.path.join(root, self.at)
        return (
            all(known is not None and content_digest(f"{folder}/{name}") == known for name, known in self.files.items())
            and all(shape_of(f"{folder}/{name}" if name else folder) == shape for name, shape in self.shapes.items())
            and (self.names is None or names_digest(folder) == self.names)
            and (search is None or self.searched is None or search(self.at) == self.searched)
        )


def no_facts(directory: str) -> Facts:
    """Of a directory in which nothing mattered to a plan."""
    return Facts(directory, {}, {}, None, None, {})


class Inputs:
    """What a plan was made from. `facts` by directory; `readers` says for whom a directory mattered.

    A `row` is of the path from before it was looked at, None where nothing was there.
    """

    def __init__(self, root: str, began: int) -> None:
        """`began` is the time in ns at which planning began."""
        self.root = root
        self.began = began
        self.facts: dict[str, Facts] = {}
        self.readers: dict[str, set[str]] = {}

    def _at(self, directory: str, readers: Iterable[str]) -> Facts:
        self.readers.setdefault(directory, set()).update(readers)
        return self.facts.setdefault(directory, no_facts(directory))

    def content(self, path: str, digest: str | None, readers: Iterable[str], row: Stat | None) -> None:
        """A file was read. Without its digest it is hashed now, unless it may have changed since planning began."""
        directory, name = os.path.split(path)
        if digest is None and surely_older(row, self.began):
            absolute = os.path.join(self.root, path)
            found = content_digest(absolute)
            digest = found if row_of(absolute) == row else None
        facts = self._at(directory, readers)
        facts.files[name], facts.rows[name] = digest, row

    def shape(self, path: str, readers: Iterable[str], row: Stat | None, shape: str | None = None) -> None:
        """It mattered what kind of thing is there. Without its shape as it was seen it is looked at now."""
        shape = shape or shape_of(os.path.join(self.root, path))
        directory, name = (path, "") if shape == "directory" else os.path.split(path)
        facts = self._at(directory, readers)
        facts.shapes[name], facts.rows[name] = shape, row

    def names(self, directory: str, digest: str, readers: Iterable[str], row: Stat | None) -> None:
        """It mattered what a directory holds; `digest` is that of its names as they were seen."""
        facts = self.facts[directory] = self._at(directory, readers)._replace(names=digest)
        facts.rows[""] = row

    def searched(self, directory: str, found: Any, readers: Iterable[str], row: Stat | None) -> None:
        """A directory was searched for packages."""
        facts = self.facts[directory] = self._at(directory, readers)._replace(searched=found)
        facts.rows[""] = row


def surely_older(row: Stat | None, began: int) -> bool:
    """Whether a file with this row cannot have been modified after `began`, be its clock ever so coarse."""
    if row is None:
        return False
    changed = modified(row, began)
    return changed < began - (RACY_NS if changed % _SECOND_NS == 0 else _TICK_NS)


def content_digest(path: str) -> str | None:
    """The sha256 (hex) of a file, None where it cannot be read or is no regular one."""
    import hashlib

    try:
        with open(open_regular(path), "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
