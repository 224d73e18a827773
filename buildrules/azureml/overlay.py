"""An Azure ML file built as it stands: BUILD.yaml texts that only the loader sees."""

import os
import re
from dataclasses import dataclass, field
from typing import Any

from buildrules.azureml.convert import Conversion, convert
from buildrules.azureml.document import display
from buildrules.azureml.targets import Target, clean_name, common_directory
from buildrules.azureml.work import Options
from buildrules.azureml.writer import render_connections, render_target, scalar
from buildrules.document.nodes import parse
from buildrules.document.problems import Problems
from buildrules.errors import UsageError
from buildrules.workspace.labels import Label, check_name
from buildrules.workspace.root import BUILD_FILE, find_root, read_file

__all__ = ["Overlay", "options_from", "overlay"]

_PYTHON = re.compile(r"3\.\d{1,3}(\.\d{1,3})?", re.ASCII)


@dataclass(slots=True)
class Overlay:
    """`texts` map packages (workspace-relative directories) to BUILD.yaml texts; `labels` are the packages to build.

    `shown` is the Azure ML file for people, `whole` says that the targets name others of the workspace. `watched` are
    absolute paths that the texts depend on, `looked_at` those of which only matters what is there, `notes` are for the
    user.
    """

    root: str
    texts: dict[str, str]
    labels: list[str]
    shown: str
    whole: bool = False
    notes: list[str] = field(default_factory=list)
    watched: set[str] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)


def options_from(options: dict[str, Any]) -> Options:
    """The options of a command line, paths made absolute. Raises UsageError for what means nothing."""
    python = options.get("python")
    if python is not None and not _PYTHON.fullmatch(python):
        raise UsageError(f"--python '{python}' is no version of Python", hint="write it like --python 3.11")
    inputs = []
    for text in options.get("inputs") or ():
        name, equals, path = str(text).rpartition("=")
        if not equals or not name:
            raise UsageError(f"--input '{text}' is not NAME=PATH", hint="such as --input labels:1=data/labels.json")
        inputs.append((name, path if "://" in path else os.path.abspath(path)))
    return Options(
        models=tuple(
            str(text) if _is_address(str(text)) else os.path.abspath(text) for text in options.get("models") or ()
        ),
        environment=_absolute(options.get("environment")),
        code=_absolute(options.get("code")),
        python=python,
        base=options.get("base"),
        mode=options.get("mode"),
        download_uri=options.get("download_uri"),
        inputs=tuple(inputs),
        output=_absolute(options.get("output")),
    )


def _is_address(text: str) -> bool:
    return "://" in text or text.startswith(("models:/", "runs:/", "azureml:"))


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def overlay(path: str, options: Options) -> Overlay:
    """The overlay for one package (or deployment) file. Raises UsageError, LoadError."""
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise UsageError(
            f"there is no file '{display(path)}'", hint="--package takes an Azure ML package or deployment file"
        )
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    try:
        around: str | None = find_root(folder)
    except UsageError:
        around = None
    top = around
    conversion = convert([path], options, top)
    conversion.raise_failed()
    if not conversion.packages:
        said = f"; {conversion.notes[0]}" if conversion.notes else ""
        raise UsageError(f"'{display(path)}' describes no package{said}", hint="name a model package or a deployment")
    files = [item for target in conversion.targets.all for item in target.paths()]
    if top is not None and not all(_within(item, top) for item in files):
        top = None
    if top is not None and not _sound(folder, top) and all(_within(item, folder) for item in files):
        top = None  # no label can name the folder; a workspace of its own needs none
    root = common_directory([folder + "/", *files]) if top is None else top
    found = _placed(conversion, root, folder, display(path))
    if top is None:
        head = _settings(around, found) if around is not None else _own(conversion, folder)
        found.texts[""] = head + found.texts.get("", "")
    found.whole = top is not None and (options.base or "").startswith(("//", ":"))
    return found


def _within(path: str, directory: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(directory.rstrip("/") + "/")


def _sound(directory: str, root: str) -> bool:
    package = os.path.relpath(directory, root)
    return package == "." or not any(check_name(part) for part in package.split(os.sep))


def _own(conversion: Conversion, folder: str) -> str:
    """The section of a workspace that is made for one package file."""
    name = clean_name(os.path.basename(folder) or "workspace").lower()
    head = f"workspace:\n  name: {scalar(name)}\n  platforms: [linux/amd64]\n"
    return head + (render_connections(conversion.connections, "  ") if conversion.connections else "")


def _settings(around: str, found: Overlay) -> str:
    """The section of the workspace around the package file, for files that lie outside of it."""
    path = os.path.join(around, BUILD_FILE)
    found.watched.add(path)
    problems = Problems()
    data = read_file(path)
    node = parse(display(path), data, problems)
    problems.raise_all()
    assert node is not None
    lines = data.decode("utf-8-sig").splitlines(keepends=True)
    start = node.keys["workspace"].line - 1
    end = min((key.line - 1 for key in node.keys.values() if key.line - 1 > start), default=len(lines))
    return "".join(lines[start:end]).rstrip("\n") + "\n"


def _placed(conversion: Conversion, root: str, folder: str, shown: str) -> Overlay:
    """Each target in the package beside its files; all others, and so the locks, beside the package file."""
    if not _sound(folder, root):
        raise UsageError(
            f"the directory '{display(folder)}' cannot be part of a label, and not all files lie in it",
            hint="copy the files beside the package file, or give the directory a plainer name",
        )
    home = os.path.relpath(folder, root).replace(os.sep, "/")
    home = "" if home == "." else home
    places: dict[int, str] = {}
    for target in conversion.targets.all:
        places[id(target)] = _place(target, root, folder, home)

    def labelled(target: Target, package: str) -> str:
        other = places[id(target)]
        return f":{target.name}" if other == package else str(Label(other, target.name))

    texts: dict[str, str] = {}
    for package in dict.fromkeys(places.values()):
        directory = os.path.join(root, package)
        parts = [
            render_target(target, directory, lambda other, package=package: labelled(other, package))  # type: ignore[misc]
            for target in conversion.targets.all
            if places[id(target)] == package
        ]
        texts[package] = "targets:\n" + "\n".join(parts)
    labels = [str(Label(places[id(target)], target.name)) for target in conversion.packages]
    return Overlay(root, texts, labels, shown, False, conversion.notes, conversion.watched, conversion.looked_at)


def _place(target: Target, root: str, folder: str, home: str) -> str:
    files = list(target.paths())
    if all(_within(path, folder) for path in files):
        return home
    package = os.path.relpath(common_directory(files), root).replace(os.sep, "/")
    package = "" if package == "." else package
    for part in package.split("/") if package else ():
        if check_name(part):
            raise UsageError(
                f"the directory '{part}' of '{display(files[0].rstrip('/'))}' cannot be part of a label",
                hint="copy the files beside the package file, or into a folder with a plainer name",
            )
    return package
