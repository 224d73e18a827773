"""Whether two parts of a package bring the same file: one of them would be in the image and nobody would know."""

from collections.abc import Iterable
from dataclasses import dataclass

from buildrules.engine.action import SourceSet
from buildrules.errors import LoadError, Position
from buildrules.workspace.globs import expand

__all__ = ["Laid", "check_overlap", "paths_of"]


@dataclass(frozen=True, slots=True)
class Laid:
    """What a target lays into the image below `directory` (no slash in front); `paths` are whole ones.

    `what` names it for people, `position` is where the package asks for it.
    """

    what: str
    directory: str
    paths: Iterable[str]
    position: Position | None


def paths_of(root: str, source: SourceSet, prefix: str) -> Iterable[str]:
    """The paths in the image of the files of a source set; looked up when they are asked for."""
    for _, name, _ in expand(root, source.directory, list(source.include), list(source.exclude))[0]:
        yield f"{prefix}/{name}" if prefix else name


def check_overlap(parts: list[Laid]) -> None:
    """Raise LoadError for the first file that two of them bring, or that is a folder for another.

    Files are looked at only where the directory of one part is, or is above, that of another.
    """
    near = [one for one in parts if any(one is not other and _nested(one, other) for other in parts)]
    files: dict[str, Laid] = {}
    folders: dict[str, Laid] = {}
    for part in near:
        for path in part.paths:
            _compare(path, part, files, folders)


def _compare(path: str, part: Laid, files: dict[str, Laid], folders: dict[str, Laid]) -> None:
    above = [path[:at] for at, char in enumerate(path) if char == "/"]
    other = files.get(path) or folders.get(path) or next((files[it] for it in above if it in files), None)
    if other is not None and other is not part:
        raise LoadError(
            f"{other.what} and {part.what} would both be at '/{path}'",
            hint="give one of them another place, or leave the file out of one with `exclude`",
            position=part.position,
        )
    files[path] = part
    for folder in above:
        folders.setdefault(folder, part)


def _nested(one: Laid, other: Laid) -> bool:
    first, second = f"{one.directory}/", f"{other.directory}/"
    return first.startswith(second) or second.startswith(first)
