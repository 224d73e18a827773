"""The kind "installed": do the wheels of an image go together, as they are installed?

    params  `InstalledParams`
    deps    actions "wheel_layer" and "conda_layer", in the order of the image

Outputs nothing. A lock may be right and the image still wrong: two wheels that bring one file, a wheel that was built
of a project which asks for something else today, an override. What is looked at here are the wheels themselves.
"""

import ast
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.parser import HeaderParser
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildrules.actions.params import InstalledParams, read
from buildrules.actions.python.equivalents import equivalents
from buildrules.actions.python.exclusion import is_excluded
from buildrules.actions.python.modules import INIT, modules_of
from buildrules.actions.python.target import Target
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, GoneError
from buildrules.lints.script import UNREADABLE, parsed
from buildrules.oci.parts.wheel import installation

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_SHOWN = 5
_UNUSED = ("docs", "examples", "test", "tests")  # folders that wheels bring by mistake; nobody loads them
_NAMESPACES = ("pkgutil", "pkg_resources")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_LARGEST = 64 << 10  # bytes of an `__init__.py` that is looked at


class Distribution:
    """A recipe's part, whose wheel is at the path `archive`. Raises IntegrityError, FileNotFoundError.

    `files` maps each path that it installs to (hash of RECORD, size).
    """

    def __init__(self, part: Mapping[str, Any], archive: str) -> None:
        from packaging.utils import canonicalize_name

        self.part = part
        self.archive = archive
        self.files, text = installation(part, archive)
        metadata = HeaderParser().parsestr(text)
        self.name = canonicalize_name(str(metadata["Name"] or part["filename"].split("-")[0]))
        self.version = str(metadata["Version"] or part["filename"].split("-")[1])
        self.requires = [str(line) for line in metadata.get_all("Requires-Dist") or ()]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class _Other(NamedTuple):
    """A distribution of which no more is known."""

    name: str
    version: str
    requires: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


_There = Distribution | _Other


class Installed:
    """See the module's documentation."""

    name = "installed"
    version = 3

    @staticmethod
    def _content(step: Step) -> list[Row]:
        return [{"kind": "wheel", "filename": part["filename"], "digest": part["digest"]} for part in _parts(step)]

    traits = Traits(content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """Read what the wheels say of themselves. Raises ActionError for what does not go together, and GoneError."""
        params = read(InstalledParams, step.params)
        try:
            found = [Distribution(part, context.blobs.checked(part["digest"])) for part in _parts(step)]
        except FileNotFoundError as error:
            raise GoneError(f"a wheel of {step.title!r} vanished from the store", hint="build again") from error
        check_paths(found, frozenset(params.prefer))
        others = _others(step)
        owners = (outputs.values.get("owners", _NOTHING) for outputs in step.outputs)
        check_conda(found, others, {module: package for one in owners for module, package in one.items()})
        check_requirements(found, Target.from_dict(dict(params.target)), frozenset(params.exclude), others)
        return Outputs()


def _parts(step: Step) -> list[Mapping[str, Any]]:
    recipes = [layer.recipe for outputs in step.outputs for layer in outputs.layers if layer.recipe is not None]
    return [part for recipe in recipes for part in recipe["parts"] if part["kind"] == "wheel"]


def _others(step: Step) -> dict[str, str]:
    """What conda packages bring: normalised name -> version."""
    from packaging.utils import canonicalize_name

    rows = [row for outputs in step.outputs for row in outputs.values.get("distributions", ())]
    return {canonicalize_name(name): version for name, version in rows}


def check_conda(found: Sequence[Distribution], others: Mapping[str, str], modules: Mapping[str, str]) -> None:
    """Raise ActionError for a distribution that lies over a conda package, whose bytecode would be used all the same.

    `others` are as for `check_requirements`; `modules` are those of conda packages, with their file names.
    """
    above = {prefix: module for module in modules for prefix in _prefixes(module)}

    def shared(path: str, one: Distribution) -> bool:
        name = path.removesuffix(INIT)
        return name != path and name.replace("/", ".") in above and _says_nothing(one.archive, path)

    for one in found:
        over = f"conda package {one.name} {others[one.name]}" if one.name in others else None
        paths = [path.partition("/site-packages/")[2] for path in one.files] if above and over is None else []
        for module in modules_of(path for path in paths if not shared(path, one)):
            same = next((it for it in _prefixes(module) if it in modules), above.get(module))
            if same is not None and same.partition(".")[0] not in _UNUSED:
                over = f"module {same!r} of the conda package {modules[same]}"
                break
        if over is not None:
            hint = f"take it out of the pip list, with `exclude: [{one.name}]` if another package asks for it; or that"
            raise ActionError(f"{one} is installed over the {over}", hint=f"{hint} out of conda's packages")


def _prefixes(module: str) -> Iterator[str]:
    steps = module.split(".")
    return (".".join(steps[:count]) for count in range(1, len(steps) + 1))


def check_paths(found: Sequence[Distribution], prefer: frozenset[str]) -> None:
    """Raise ActionError for a file that two of them install with different content, or one of them as a folder, unless
    the later is preferred."""
    owners: dict[str, Distribution] = {}
    clashes: dict[tuple[str, str], tuple[Distribution, Distribution, list[str]]] = {}
    for one in found:
        for path, content in one.files.items():
            other = owners.get(path)
            if other is not None and other.files[path] != content and not _harmless(path, other, one):
                clashes.setdefault((other.name, one.name), (other, one, []))[2].append(path)
            owners[path] = one
    folders: dict[str, Distribution] = {}
    for path, one in owners.items():
        while (path := os.path.dirname(path)) and path not in folders:
            folders[path] = one
    for path in owners.keys() & folders.keys():
        other, one = sorted((owners[path], folders[path]), key=found.index)
        clashes.setdefault((other.name, one.name), (other, one, []))[2].append(path)
    for other, one, paths in clashes.values():
        if one.name in prefer:
            continue
        first, second = sorted((other, one), key=str)
        shown = f"'{min(paths)}'" + (f" and {len(paths) - 1} more files" if len(paths) > 1 else "")
        raise ActionError(
            f"{first} and {second} both bring {shown}, with different content",
            hint=f"leave one out, with `exclude: [{first.name}]` or `exclude: [{second.name}]` in the environment;"
            f" or say whose files are used, with `prefer: [{first.name}]` or `prefer: [{second.name}]`",
        )


def _harmless(path: str, one: Distribution, other: Distribution) -> bool:
    """Whether nobody can tell which of two files is there: none is loaded, or both say the same of a namespace."""
    below = path.partition("/site-packages/")[2]
    top = below.partition("/")[0]
    if top in _UNUSED or (below == top and below and not below.endswith((".py", ".so", ".pth"))):
        return True
    return below.endswith("/__init__.py") and all(_says_nothing(item.archive, below) for item in (one, other))


def _says_nothing(archive: str, name: str) -> bool:
    """Whether a member is an `__init__.py` without code, or one that declares a namespace only."""
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(name) as file:
            return all(map(_declares, parsed(file.read(_LARGEST)).body))
    except (*UNREADABLE, KeyError, OSError, zipfile.BadZipFile):
        return False


def _declares(node: ast.stmt) -> bool:
    """Whether a statement is a text, or of those with which packages say that they share a namespace (PEP 420)."""
    if isinstance(node, ast.Try):
        inside = [*node.body, *(one for handler in node.handlers for one in handler.body), *node.orelse]
        return not node.finalbody and all(map(_declares, inside))
    if isinstance(node, ast.Import):
        return all(name.name in _NAMESPACES for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in _NAMESPACES
    if isinstance(node, ast.Assign):
        return [ast.unparse(one) for one in node.targets] == ["__path__"] and "extend_path(" in ast.unparse(node.value)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or "declare_namespace(" in ast.unparse(node.value)
    return isinstance(node, ast.Pass)


def check_requirements(
    found: Sequence[Distribution], target: Target, exclude: frozenset[str], others: Mapping[str, str] = _NOTHING
) -> None:
    """Raise ActionError where one of them requires what none of them is, as the image's Python reads it.

    `others` are there besides: normalised name -> version. What these require is none of our business.

    What `exclude` names, or has a glob of, is not needed: the environment promises it.
    """
    there: dict[str, _There] = {name: _Other(name, version) for name, version in others.items()}
    there |= {str(one.name): one for one in found}
    wrong = list(dict.fromkeys(_unmet(there, target, exclude)))
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ActionError(
            f"what is installed does not go together: {'; '.join(wrong[:_SHOWN])}{more}",
            hint="lock again with 'buildrules lock', or name what is missing on purpose in the environment's `exclude`",
        )


def _unmet(there: "Mapping[str, _There]", target: Target, exclude: frozenset[str]) -> Iterator[str]:
    from packaging.utils import canonicalize_name

    extras: dict[str, frozenset[str]] = {}
    waiting = list(there.values())
    while waiting:
        one = waiting.pop()
        for requirement in _applying(one.requires, target, extras.get(one.name, frozenset())):
            name = canonicalize_name(requirement.name)
            other = next((there[it] for it in (name, *equivalents(name)) if it in there), None)
            if other is None:
                if not is_excluded(name, exclude):
                    yield f"{one} requires '{requirement}', which is not there"
                continue
            if not _allows(requirement, other.version):
                yield f"{one} requires '{requirement}', and there is {other}"
            asked = extras.get(other.name, frozenset()) | requirement.extras
            if asked != extras.get(other.name, frozenset()):
                extras[other.name] = asked
                waiting.append(other)


def _applying(lines: Iterable[str], target: Target, extras: frozenset[str]) -> "Iterator[Requirement]":
    """The requirements whose markers hold in the image, with these extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    values: Any = target.environment()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # old metadata, which uv reads its own way
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**values, "extra": extra}) for extra in ("", *sorted(extras))):
            yield requirement


def _allows(requirement: "Requirement", version: str) -> bool:
    from packaging.version import InvalidVersion

    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True
