"""Where the files of targets land in an image: source sets of actions, and the prefixes their names go below."""

import posixpath
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from buildrules.authoring.target import literal
from buildrules.engine.action import SourceSet
from buildrules.errors import LoadError
from buildrules.rules.model_content import locked_content
from buildrules.rules.package import LIBRARIES, PackageParts, Placed
from buildrules.rules.resolve import ResolvedTarget
from buildrules.rules.source_root import source_root
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock


def globbed(target: ResolvedTarget) -> SourceSet:
    """The files that the `srcs` of a target match, named as they land in the image. Raises LoadError."""
    values = target.values
    directory, include, exclude = source_root(
        target.label.package, values["srcs"], values["exclude"], values["strip_prefix"]
    )
    return SourceSet(directory, tuple(include), tuple(exclude))


def path_source(path: str, place: str, folders: Container[str], *, keep: bool) -> tuple[SourceSet, str]:
    """A file or folder as a source set and the prefix its names go below; `keep` keeps its own name.

    `folders` has those of the workspace's paths that are folders. Raises LoadError for a file that would get another
    name.
    """
    directory, name = posixpath.split(path)
    if path in folders:
        return SourceSet(path, ("**",)), f"{place}/{name}" if keep and name else place
    if keep:
        return SourceSet(directory, (literal(name),)), place
    parent, wanted = posixpath.split(place)
    if wanted != name:
        raise LoadError(
            f"the file '{path}' cannot be placed as '/{place}': it keeps its name",
            hint=f"write '/{parent}/{name}', or rename the file",
        )
    return SourceSet(directory, (literal(name),)), parent


def code_files(parts: PackageParts) -> list[tuple[ResolvedTarget, SourceSet, str]]:
    """The targets of a package's code, that which the server starts first, their files, and where these go.

    Code is left out where the server has no place for it. Raises LoadError.
    """
    found = []
    for target in (parts.code, *parts.shared):
        if target is not None and target.provides == "library":
            found.append((target, library_files(target), f"{LIBRARIES.strip('/')}/{import_root(target)}".rstrip("/")))
        elif target is not None and target.values["srcs"] and parts.server_part.code_directory is not None:
            found.append((target, globbed(target), parts.server_part.code_directory.strip("/")))
    return found


def library_files(target: ResolvedTarget) -> SourceSet:
    """The files of a library, named as they are imported below its `import_root`. Raises LoadError."""
    values, package = target.values, target.label.package
    prefix = package if values["strip_prefix"] is None else values["strip_prefix"]
    directory, include, exclude = source_root(package, values["srcs"], values["exclude"], prefix)
    return SourceSet(directory, tuple(include), tuple(exclude))


def import_root(target: ResolvedTarget) -> str:
    """The folder that stands for the package which all files of a library belong to; "" if they name it themselves."""
    said = target.values["import_as"]
    if said is None:
        return ""
    if not all(step.isidentifier() for step in said.split(".")):
        raise target.error(
            "import_as",
            f"'{said}' is not the name of a Python package",
            "write it as it is imported, such as `acme.features`",
        )
    return str(said).replace(".", "/")


def grouped_files(placed: Placed, groups: Mapping[Label, Sequence[ResolvedTarget]]) -> list[ResolvedTarget]:
    """The file groups that come with a model or an input. Raises LoadError where they would have to be fetched."""
    found = list(groups.get(placed.target.label, ()))
    if found and placed.mode != "copy":
        raise placed.target.error(
            "srcs",
            f"{placed.target.label} is fetched at start, and {found[0].label} is a file group of the workspace",
            "use `mode: copy`, or name the files themselves",
        )
    return [group for group in found if group.values["srcs"]]


def workspace_files(placed: Placed, folders: Container[str]) -> tuple[SourceSet, str]:
    """The files of a model or input of the workspace."""
    target, values = placed.target, placed.target.values
    place = placed.directory.strip("/")
    if values["path"] is None:
        return globbed(target), place
    source, prefix = path_source(values["path"], place, folders, keep=True)
    if not placed.keep_folder and source.directory == values["path"]:
        prefix = place
    return (source._replace(exclude=tuple(values["exclude"])) if values["exclude"] else source), prefix


def locked_files(placed: Placed, lock: "ModelLock") -> tuple[list[dict[str, Any]], str, str]:
    """(files by their names below the prefix, the prefix, what was dropped from their paths in the lock)."""
    found = locked_content(lock.files, placed.target.values)
    if not found.files:
        raise placed.target.error("exclude", f"`exclude` leaves no file of {placed.target.label}")
    place = placed.directory.strip("/")
    prefix = f"{place}/{found.basename}" if found.folder and placed.keep_folder else place
    rows = [file.to_dict() for file in found.files]
    return [{**row, "path": row["path"].removeprefix(found.folder)} for row in rows], prefix, found.folder
