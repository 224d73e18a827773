"""An Azure ML file built as it stands: BUILD.yaml texts that only the loader sees."""

import os
from dataclasses import dataclass, field

from buildrules.authoring.paths import common_directory, display, is_within
from buildrules.authoring.target import NewTarget
from buildrules.authoring.text import render_target, render_workspace
from buildrules.azureml.conversion import Conversion, Options
from buildrules.azureml.convert import convert
from buildrules.azureml.given import failed
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import UsageError
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label, check_name
from buildrules.workspace.root import BUILD_FILE, check_root, find_root


@dataclass(slots=True)
class Generated:
    """`texts` map packages (workspace-relative directories) to BUILD.yaml texts; `labels` are the packages to build.

    `made_from` is the Azure ML file for people, `whole` says that the targets name others of the workspace, `notes` are
    for the user.
    """

    root: str
    texts: dict[str, str]
    labels: list[str]
    made_from: str
    whole: bool = False
    notes: list[str] = field(default_factory=list)


def generate(path: str, options: Options, disk: Disk) -> Generated:
    """What one package (or deployment) file stands for. Raises UsageError, LoadError."""
    path = os.path.abspath(path)
    if not os.path.exists(path):
        hint = "--package takes an Azure ML package or deployment file"
        raise UsageError(f"there is no file '{display(path)}'", hint=hint)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    try:
        around: str | None = find_root(folder)
    except UsageError:
        around = None
    conversion = convert([path], options, around, disk)
    failed(conversion).raise_all()
    if not conversion.packages:
        said = f"; {conversion.notes[0]}" if conversion.notes else ""
        raise UsageError(f"'{display(path)}' describes no package{said}", hint="name a model package or a deployment")
    files = [item for target in conversion.targets.all for item in target.paths()]
    top = around
    if top is not None and not all(is_within(item, top) for item in files):
        top = None
    if top is not None and _wrong(folder, top) and all(is_within(item, folder) for item in files):
        top = None  # no label can name the folder; a workspace of its own needs none
    root = common_directory([folder + "/", *files]) if top is None else top
    check_root(root)
    found = _placed(conversion, root, folder, display(path))
    if around is None:
        section = render_workspace(os.path.basename(folder), conversion.connections)
        found.texts[""] = section + found.texts.get("", "")
    elif top is None:
        found.texts[""] = _section(around, disk) + found.texts.get("", "")
    found.whole = top is not None and (options.base or "").startswith(("//", ":"))
    return found


def _wrong(directory: str, root: str) -> str | None:
    """The part of a directory's path below `root` that no label can have."""
    package = os.path.relpath(directory, root)
    return next((part for part in package.split(os.sep) if package != "." and check_name(part)), None)


def _section(around: str, disk: Disk) -> str:
    """The section of the workspace around the package file, for files that lie outside of it."""
    path = os.path.join(around, BUILD_FILE)
    problems = Problems()
    data = disk.read(path)
    node = parse(display(path), data, problems)
    problems.raise_all()
    assert node is not None
    lines = data.decode("utf-8-sig").splitlines(keepends=True)
    start = node.keys["workspace"].line - 1
    end = min((key.line - 1 for key in node.keys.values() if key.line - 1 > start), default=len(lines))
    return "".join(lines[start:end]).rstrip("\n") + "\n"


def _placed(conversion: Conversion, root: str, folder: str, made_from: str) -> Generated:
    """Each target in the package beside its files; all others, and so the locks, beside the package file."""
    if _wrong(folder, root):
        raise UsageError(
            f"the directory '{display(folder)}' cannot be part of a label, and not all files lie in it",
            hint="copy the files beside the package file, or give the directory a plainer name",
        )
    places = {id(target): _place(target, root, folder) for target in conversion.targets.all}
    texts: dict[str, str] = {}
    for package in dict.fromkeys(places.values()):

        def label_of(target: NewTarget, package: str = package) -> str:
            other = places[id(target)]
            return f":{target.name}" if other == package else str(Label(other, target.name))

        here = [target for target in conversion.targets.all if places[id(target)] == package]
        parts = [render_target(target, os.path.join(root, package), label_of) for target in here]
        texts[package] = "targets:\n" + "\n".join(parts)
    labels = [str(Label(places[id(target)], target.name)) for target in conversion.packages]
    return Generated(root, texts, labels, made_from, notes=conversion.notes)


def _place(target: NewTarget, root: str, folder: str) -> str:
    files = list(target.paths())
    directory = folder if all(is_within(path, folder) for path in files) else common_directory(files)
    wrong = _wrong(directory, root)
    if wrong is not None:
        raise UsageError(
            f"the directory '{wrong}' of '{display(files[0].rstrip('/'))}' cannot be part of a label",
            hint="copy the files beside the package file, or into a folder with a plainer name",
        )
    package = os.path.relpath(directory, root).replace(os.sep, "/")
    return "" if package == "." else package
