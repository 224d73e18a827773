"""Whether two parts of a package bring the same file: one of them would be in the image and nobody would know."""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from buildrules.engine.action import SourceSet
from buildrules.errors import LoadError, Position
from buildrules.locking.models.locks import ModelLocks
from buildrules.locking.placing import code_files, globbed, grouped_files, locked_files, workspace_files
from buildrules.rules.package import PackageParts, Placed
from buildrules.workspace.globs import expand

_ASKED = ("model", "models", "inputs")


@dataclass(frozen=True, slots=True)
class _Laid:
    """What a target lays into the image below `directory` (no slash in front); `paths` are whole ones.

    `what` names it for people, `position` is where the package asks for it.
    """

    what: str
    directory: str
    paths: Iterable[str]
    position: Position | None


def _paths(root: str, source: SourceSet, prefix: str) -> Iterable[str]:
    """The paths in the image of the files of a source set; looked up when they are asked for."""
    for _, name, _ in expand(root, source.directory, list(source.include), list(source.exclude))[0]:
        yield f"{prefix}/{name}" if prefix else name


def check_overlap(parts: PackageParts, root: str, models: ModelLocks, folders: Container[str]) -> None:
    """Raise LoadError where two of models, inputs, code and libraries of a package bring the same file.

    `root` is the workspace's; `folders` has those of its paths that are folders.
    """
    code = code_files(parts)
    if len(parts.placed) < 2 and not parts.inputs and not parts.groups and len(code) < 2:
        return
    laid = [_laid(placed, parts, root, models, folders) for placed in parts.placed]
    for placed in parts.placed:
        prefix, position = placed.directory.strip("/"), placed.target.position_of("srcs")
        for group in grouped_files(placed, parts.groups):
            laid.append(_Laid(f"files {group.label}", prefix, _paths(root, globbed(group), prefix), position))
    if parts.inputs or len(code) > 1:
        named = parts.package.deps["code"]
        for target, source, prefix in code:
            position = parts.package.position_of("code", named.index(target.label) if target.label in named else None)
            laid.append(_Laid(f"{target.provides} {target.label}", prefix, _paths(root, source, prefix), position))
    if len(laid) > 1:
        _compare_all(laid)


def _laid(placed: Placed, parts: PackageParts, root: str, models: ModelLocks, folders: Container[str]) -> _Laid:
    """What a model or input lays where."""
    target, package = placed.target, parts.package
    attribute = next((name for name in _ASKED if target.label in (package.deps.get(name) or ())), "model")
    index = None if attribute == "model" else package.deps[attribute].index(target.label)
    paths: Iterable[str]
    if target.values["uri"] is not None:
        files, prefix, _ = locked_files(placed, models.of(target).lock)
        paths = [f"{prefix}/{row['path']}" for row in files]
    else:
        source, prefix = workspace_files(placed, folders)
        paths = _paths(root, source, prefix)
    return _Laid(f"{target.provides} {target.label}", prefix, paths, package.position_of(attribute, index))


def _compare_all(parts: list[_Laid]) -> None:
    """Raise LoadError for the first file that two of them bring, or that is a folder for another.

    Files are looked at only where the directory of one part is, or is above, that of another.
    """
    near = [one for one in parts if any(one is not other and _nested(one, other) for other in parts)]
    files: dict[str, _Laid] = {}
    folders: dict[str, _Laid] = {}
    for part, path in ((one, path) for one in near for path in one.paths):
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


def _nested(one: _Laid, other: _Laid) -> bool:
    first, second = f"{one.directory}/", f"{other.directory}/"
    return first.startswith(second) or second.startswith(first)
