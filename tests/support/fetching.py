"""What fetching needs to know of its surroundings, where there is no build."""

from pathlib import Path
from typing import Any

from buildrules.actions.models.access import Access
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs


class Context:
    """A store of its own below `root`; keeps what is reported."""

    def __init__(self, root: Path) -> None:
        self.workspace = str(root)
        self.blobs = Blobs(str(root / "store"))
        self.jobs = 2
        self.session = Session()
        self.cancelled = False
        self.fetched = 0
        self.reports: list[tuple[str, int, int | None]] = []

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.reports.append((what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None:
        self.fetched += fetched

    def warn(self, message: str) -> None: ...


def access(root: Path, environ: dict[str, str] | None = None, **options: Any) -> Access:
    """Access to a store below `root` with these variables."""
    return Access(Context(root), environ or {}, **options)
