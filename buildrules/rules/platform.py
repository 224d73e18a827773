"""A platform that packages are deployed on, as a file describes it: templates of the manifests it takes.

Imports pydantic; only imported when manifests are written.
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, UsageError
from buildrules.rules import template, types
from buildrules.rules.attribute import LISTS as LIST_TYPES
from buildrules.rules.attribute import MAPS, RECORDS, Attribute
from buildrules.rules.documents import EACH, Part, fill, parts
from buildrules.workspace.suggest import did_you_mean
from buildrules.workspace.validation import Strict, fitting, validate

NAMES = {
    "name": "the package's name there: lower case letters, digits and `-`, from its label",
    "label": "the package's label",
    "image": "the image, as HOST/REPOSITORY@DIGEST",
    "repository": "the image's HOST/REPOSITORY",
    "digest": "its digest: sha256:HEX",
    "short_digest": "the first twelve digits of that",
    "environment.name": "name of the environment the package makes",
    "environment.version": "its version",
    "port": "the port that requests go to; else the first there is",
    "cpu": "processors it is given, as a text: `1`, `0.5`",
    "memory": "memory it is given: `2Gi`, `512Mi`",
    "memory_mib": "the same in mebibytes, a whole number",
    "nonroot": "true where the image's user is a number and not root; otherwise it has no value",
    "job.input": "of a package that works on files, the folder it reads",
    "job.output": "the folder it writes to",
}
"""What templates may name, besides the platform's own attributes."""
LISTS = {
    "ports": {
        "number": "the port",
        "name": "`http` for the one that requests go to, else `port-NUMBER`",
        "protocol": "`TCP`, `UDP`, `SCTP`",
        "transport": "the same in small letters",
        "published": "a port of the host: the same number, else the next that no package of the command has",
    },
    "liveness": {"path": "path of the route", "port": "its port"},
    "readiness": {"path": "path of the route", "port": "its port"},
    "scoring": {"path": "path of the route", "port": "its port"},
    "gpu": {"count": "how many it is given"},
    "secrets": {
        "variable": "the variable that a download at start reads its credential from",
        "connection": "the workspace's connection that it belongs to; else the package's `name`",
        "secret": "that as a name of the platform",
        "credential": "the field of the connection's credentials",
    },
    "check": {"command": "words of a command in the container that ends well once the package is ready"},
}
"""Lists for `each`, with their fields."""
SINGLE = ("liveness", "readiness", "scoring", "gpu", "check")
"""Of these the lists that have one item at most: their fields can be named by themselves, `{readiness.path}`."""
REFUSABLE = ("gpu", "secrets", "job")

_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_NO_NAME = "{} is not a platform's name: use lower-case letters, digits and `_`"


class PlatformFile(Strict):
    """A platform."""

    platform: Annotated[
        str, fitting(_NAME.fullmatch, "{} is not a platform's name: use lower-case letters, digits and `_`")
    ]
    """Its name, the same as the file's."""
    summary: str = ""
    """One line for lists."""
    doc: str = ""
    """What to know before using it, in Markdown."""
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    """What `--set NAME=VALUE` may say. `gpu_NAME` is the default of NAME for packages that are given a GPU."""
    longest_name: Annotated[int, Field(ge=8, le=253)] = 63
    """How long the name of a package may be there."""
    escapes: dict[str, str] = Field(default_factory=dict)
    """What is written for a text in values, where it means something to the platform: `{$: $$}`."""
    needs: list[str] = Field(default_factory=list)
    """Routes that a package must have."""
    refuses: dict[str, str] = Field(default_factory=dict)
    """What a package must not have (`gpu`, `secrets`, `job`), with the reason."""
    files: dict[str, list[Any]]
    """Documents by the name of the file; several packages whose files have one name share it."""
    jobs: dict[str, list[Any]] = Field(default_factory=dict)
    """The same for packages that work on files and end."""
    secret: str = ""
    """How the value of one of `secrets` is put there, a command or a sentence. A template that names its fields."""
    next: str = ""
    """What to do with the files, a command. A template that may also name `{folder}`, where they are."""


class Platform(NamedTuple):
    """A platform, read and checked. `reference` is what `--for` names it by, `values` are its attributes' defaults."""

    reference: str
    file: PlatformFile
    values: dict[str, Any]

    def set(self, settings: Iterable[str]) -> dict[str, Any]:
        """The attributes that texts `NAME=VALUE` give values. Raises UsageError, and LoadError for a wrong value."""
        found: dict[str, Any] = {}
        problems = Problems()
        for text in settings:
            name, sign, value = text.partition("=")
            if not sign:
                raise UsageError(f"'{text}' is not NAME=VALUE", hint="--set replicas=2")
            if name not in self.file.attributes:
                hint = did_you_mean(name, self.file.attributes, what=f"attributes of {self.reference}")
                raise UsageError(f"the platform '{self.reference}' has no attribute '{name}'", hint=hint)
            node = parse(f"--set {name}", value.encode(), problems)
            if node is not None:
                found[name] = types.read(node, self.file.attributes[name], "", problems)
            elif not len(problems):
                raise UsageError(f"--set {name} gives no value", hint=f"write {name}=VALUE, or leave it out")
        problems.raise_all()
        return found

    def attributes(self, given: Mapping[str, Any], *, gpu: bool) -> dict[str, Any]:
        """The values of all attributes for a package."""
        meant = {name.removeprefix("gpu_"): value for name, value in self.values.items() if name.startswith("gpu_")}
        named = {name: value for name, value in meant.items() if name in self.file.attributes}
        return {**self.values, **(named if gpu else {}), **given}

    def documents(self, names: Mapping[str, Any], *, job: bool) -> dict[str, list[Part]]:
        """What stands in the files for a package, by their names.

        Raises LoadError for a name that is no plain path, and for a file of which nothing can be filled in.
        """
        found: dict[str, list[Part]] = {}
        values = _escaped(names, self.file.escapes)
        for path, documents in (self.file.jobs if job else self.file.files).items():
            try:
                place, made = str(fill(path, names)), parts(documents, values)
            except (template.MissingValueError, template.TemplateError) as error:
                raise LoadError(f"platform '{self.reference}' cannot write '{path}': {error}") from error
            if place != posixpath.normpath(place) or place.startswith(("/", "../", "~")) or "\\" in place:
                raise LoadError(f"platform '{self.reference}' would write '{place}', which is no plain path")
            found[place] = made
        return found

    def line(self, text: str, names: Mapping[str, Any]) -> str | None:
        """A text filled in; None where one of its names has no value."""
        try:
            return str(template.substitute(text, names)) if text else None
        except template.MissingValueError:
            return None

    def uses(self, name: str) -> bool:
        """Whether a template names it."""
        return any(found == name for found, _ in template.names_in([self.file.files, self.file.jobs]))


def _escaped(value: Any, escapes: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for text, instead in escapes.items():
            value = value.replace(text, instead)
    elif isinstance(value, Mapping):
        return {key: _escaped(item, escapes) for key, item in value.items()}
    elif isinstance(value, list):
        return [_escaped(item, escapes) for item in value]
    return value


def read_platform(path: str, reference: str, data: bytes) -> Platform:
    """Read the file `path` (for messages) of the platform that `--for` calls `reference`. Raises LoadError."""
    problems = Problems()
    node = parse(path, data, problems)
    problems.raise_all()
    if node is None:
        raise LoadError(f"the platform file '{path}' is empty", hint="begin it with `platform: NAME`")
    file = validate(PlatformFile, node, problems, "platform")
    problems.raise_all()
    assert file is not None
    name = posixpath.basename(path).removesuffix(".yaml")
    if file.platform != name:
        raise node.find(("platform",)).error(f"the platform in '{path}' must have the name '{name}'")
    _check(file, node, problems)
    values = {}
    for key, attribute in file.attributes.items():
        default = node.find(("attributes", key, "default"))
        if attribute.default is not None:
            values[key] = types.read(default, attribute, "", problems)
    problems.raise_all()
    return Platform(reference, file, values)


def _check(file: PlatformFile, node: Node, problems: Problems) -> None:
    """Note what is named and does not exist."""
    for key, attribute in file.attributes.items():
        place = node.find(("attributes", key))
        if key in NAMES or key in LISTS or not _NAME.fullmatch(key):
            problems.add_error(place.error(f"'{key}' cannot be the name of an attribute"))
        if attribute.type in (*RECORDS, "label", "labels", "path", "paths", "globs", "path_map"):
            problems.add_error(place.error(f"an attribute of a platform cannot be of type '{attribute.type}'"))
    for index, route in enumerate(file.needs):
        if route not in types.ROUTE_NAMES:
            hint = did_you_mean(route, types.ROUTE_NAMES, what="routes")
            problems.add_error(node.find(("needs", index)).error(f"unknown route '{route}'", hint))
    for what in file.refuses:
        if what not in REFUSABLE:
            hint = did_you_mean(what, REFUSABLE, what="what can be refused")
            problems.add_error(node.entries["refuses"].keys[what].error(f"'{what}' cannot be refused", hint))
    if not file.jobs and "job" not in file.refuses:
        problems.add_error(node.error("there are neither `jobs` nor a reason", "refuses: {job: WHY}"))
    kinds = {key: attribute.type for key, attribute in file.attributes.items()}
    single = {f"{name}.{field}": _kind(name, field) for name in SINGLE for field in LISTS[name]}
    check = _Templates({**dict.fromkeys(NAMES, "string"), **single, **kinds}, problems)
    for key in ("files", "jobs"):
        check.of(node.find((key,)) if key in node.entries else None)
    check.of(node.entries.get("secret"), {f"{EACH}.{field}": "string" for field in LISTS["secrets"]})
    check.of(node.entries.get("next"), {"folder": "string"})


def _kind(name: str, field: str) -> str:
    return "string_list" if (name, field) == ("check", "command") else "string"


@dataclass(slots=True)
class _Templates:
    """Checks templates that may name `kinds`, which has their types."""

    kinds: Mapping[str, str]
    problems: Problems

    def of(self, node: Node | None, more: Mapping[str, str] | None = None) -> None:
        """Check all below a node, where `more` names exist."""
        if node is None:
            return
        kinds = {**self.kinds, **(more or {})}
        if node.kind == "list":
            for item in node.items:
                self.of(item, more)
        elif node.kind == "scalar":
            self._text(node, kinds)
        else:
            each = node.entries.get(EACH)
            more = {**(more or {}), **self._fields(each)} if each is not None else more
            kinds = {**self.kinds, **(more or {})}
            for key, item in node.entries.items():
                if item is not each:
                    self._text(node.keys[key], kinds, within=True)
                    self.of(item, more)

    def _fields(self, each: Node) -> dict[str, str]:
        if each.text in LISTS:
            return {f"{EACH}.{field}": _kind(each.text, field) for field in LISTS[each.text]}
        if self.kinds.get(each.text) in LIST_TYPES:
            return {EACH: "string"}
        known = [*LISTS, *(name for name, kind in self.kinds.items() if kind in LIST_TYPES)]
        self.problems.add_error(each.error(f"there is no list '{each.text}'", did_you_mean(each.text, known)))
        return {f"{EACH}.{field}": _kind(name, field) for name, fields in LISTS.items() for field in fields}

    def _text(self, node: Node, kinds: Mapping[str, str], *, within: bool = False) -> None:
        try:
            found = list(template.names_in(node.text))
        except template.TemplateError as error:
            self.problems.add_error(node.error(str(error), "write {{ and }} for braces"))
            return
        for name, alone in found:
            if name not in kinds:
                if name in LISTS:
                    hint: str | None = f"it is a list: write a map with `{EACH}: {name}`"
                else:
                    hint = did_you_mean(name, kinds, what="names that exist here", limit=30)
                self.problems.add_error(node.error(f"unknown name '{{{name}}}'", hint))
            elif kinds[name] in (*LIST_TYPES, *MAPS) and (within or not alone):
                self.problems.add_error(node.error(f"'{{{name}}}' is a {kinds[name]} and must stand alone"))
