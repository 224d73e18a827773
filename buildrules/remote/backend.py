"""The two interfaces of a place elsewhere: records by key, and content by digest.

A back end makes one attempt of one request, and believes nothing it does not have to. What is common to all is wrapped
around it by `remote.guarded`: further attempts, limits of time, the check of digests, being left out for a while.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from buildrules.typed import Any, NamedTuple, Protocol

LARGEST_RECORD = 1 << 20
"""Bytes. Longer ones live in a blob that a short one names, see `engine.borrowed`."""

Body = Callable[[], Iterable[bytes]]
"""Opens the bytes of what is sent anew, so that it can be sent again."""


class Blob(NamedTuple):
    """Content: `digest` is `sha256:<hex>`, `size` in bytes."""

    digest: str
    size: int


class RemoteError(Exception):
    """An attempt that failed, with what it means.

    `retry`: the same request may do better, in `wait` seconds where the server said so. `refused`: credentials are
    missing or do not allow it, so that this direction is useless. `too_large`: the place takes nothing of that size.
    `text` is for people and holds no credentials.
    """

    def __init__(
        self,
        text: str,
        *,
        retry: bool = False,
        wait: float | None = None,
        refused: bool = False,
        too_large: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.retry = retry
        self.wait = wait
        self.refused = refused
        self.too_large = too_large


class RecordPlace(Protocol):
    """Short texts by key, 64 hex digits. What they say is signed, or believed at the reader's risk."""

    def get(self, key: str) -> bytes | None:
        """The record, at most LARGEST_RECORD bytes; None where there is none. Raises RemoteError."""

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        """Keep a record that names `blobs`, which are there already. Somebody else's stays, where `replace` does not
        say that the newest one is wanted. Raises RemoteError.
        """


class ContentPlace(Protocol):
    """Content by digest."""

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """The digests of those that are there, in one request: at most `Backend.batch` blobs. Raises RemoteError."""

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """What claims to be the content, from the byte `offset` on. Raises FileNotFoundError, RemoteError."""

    def write(self, blob: Blob, body: Body) -> None:
        """Keep content. Raises RemoteError."""


class Entry(NamedTuple):
    """Something that is kept: a record by its key, or content by its digest. `written` is Unix time."""

    kind: str  # "record" or "content"
    name: str
    size: int
    written: float


class Shelf(Protocol):
    """For who looks after the place: only some protocols can say what there is. Raises RemoteError."""

    def entries(self) -> Iterator[Entry]:
        """Everything that is kept."""

    def remove(self, entry: Entry) -> None:
        """Keep it no longer; nothing where it is gone."""


class Backend(NamedTuple):
    """One place, opened. `shelf` is None where the protocol cannot list.

    `batch` is how many blobs `holds` can be asked for in one request; several such requests are under way at a time.
    """

    url: str  # without credentials
    records: RecordPlace
    content: ContentPlace
    shelf: Shelf | None = None
    close: Callable[[], None] = lambda: None
    batch: int = 1


def body_of(opened: Callable[..., Any], *given: str) -> Body:
    """What a file has, which `opened` opens when it is given this."""

    def chunks() -> Iterator[bytes]:
        with opened(*given) as file:
            while chunk := file.read(1 << 20):
                yield chunk

    return chunks
