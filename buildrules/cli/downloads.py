"""What `buildrules lock` says of downloads: by lock, by kind, and what the store has of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from buildrules.cli.report import size_text
from buildrules.locking.downloads import Download, Needed, size_of

_LINES = 12
_NAMES = 6


def download_lines(locks: Sequence[Needed], written: Collection[str], stored: Collection[str]) -> Iterator[str]:
    """A line for each lock that says something new (paths), and one for all. `stored` are sha256 that the store has."""
    shown = [one for one in locks if one.path in written or len(locks) == 1]
    if len(shown) > _LINES:
        shown = sorted(shown, key=lambda one: -size_of(one.files))[: _LINES - 1]
    for one in shown:
        yield f"{one.what}{'  ' * bool(one.platform)}{one.platform}: {_text(one.files, stored)}"
    if len(locks) > 1:
        files = {file.sha256: file for one in locks for file in one.files}
        yield f"all {len(locks)} locks: {_text(files.values(), stored, names=False)}"


def _text(found: Iterable[Download], stored: Collection[str], *, names: bool = True) -> str:
    """Like "31 wheels, 2.8 GB to download (1.2 MB more are in the store; 2.5 GB of GPU libraries: ...)"."""
    files = list(found)
    counts = Counter(one.kind for one in files)
    kinds = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items())
    there = [one for one in files if one.sha256 in stored]
    left = [one for one in files if one.sha256 not in stored]
    if not left:
        return f"{kinds}, {size_text(size_of(files))}, all of it in the store"
    more = []
    if there:
        more.append(f"{size_text(size_of(there))} more in the store")
    unknown = sum(one.size is None for one in left)
    if 0 < unknown < len(left):
        more.append(f"of {unknown} the size is not known")
    if gpu := sorted((one for one in files if one.gpu), key=lambda one: (-(one.size or 0), one.name)):
        listed = ", ".join(one.name for one in gpu[:_NAMES])
        rest = f" and {len(gpu) - _NAMES} more" if len(gpu) > _NAMES else ""
        more.append(f"{size_text(size_of(gpu))} of GPU libraries" + (f": {listed}{rest}" if names else ""))
    size = size_text(size_of(left)) if unknown < len(left) else "of a size that is not known,"
    return f"{kinds}, {size} to download" + (f" ({'; '.join(more)})" if more else "")
