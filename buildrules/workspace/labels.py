"""Names of targets, and patterns that select them.

    //models/fraud:scorer   target `scorer` of the package `models/fraud`
    //models/fraud          the same as //models/fraud:fraud
    //:scorer               a target of the package at the workspace root
    :scorer                 a target of the current package

    //models:all            every target of one package          :all     of the current one
    //models/...            of `models` and all packages below   ...      from the current one on
    //...                   of the whole workspace
    -//models/old/...       leaves out; exclusions win wherever they stand

Patterns come from a terminal, so they may also be written from the current package on: `scorer`
is `:scorer`, `fraud:scorer` and `fraud/...` start below it.

On the fast path: imports nothing but `re` and what is imported already.
"""

import re

from buildrules.errors import LoadError, UsageError
from buildrules.typed import NamedTuple

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)
_CHARSET = "letters, digits and `_ . + -`, not starting with `.`, `+` or `-`"
_RESERVED = ("all",)


class Label:
    """The name of a target: a package (workspace-relative directory, "" is the root) and a name in it.

    Immutable, hashable, ordered by (package, name). `str` gives the one canonical form `//package:name`.
    The constructor trusts its arguments; `parse_label` checks them.
    """

    __slots__ = ("_hash", "name", "package")

    package: str
    name: str

    def __init__(self, package: str, name: str) -> None:
        self.package = package
        self.name = name
        self._hash = hash((package, name))  # labels are looked up far more often than they are made

    def __str__(self) -> str:
        return f"//{self.package}:{self.name}"

    def __repr__(self) -> str:
        return f"Label({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Label):
            return NotImplemented
        return self.name == other.name and self.package == other.package

    def __lt__(self, other: "Label") -> bool:
        return (self.package, self.name) < (other.package, other.name)

    def __hash__(self) -> int:
        return self._hash


class Pattern(NamedTuple):
    """One pattern. `name` is None for "every target"; `below` takes the packages below in, too."""

    package: str
    name: str | None
    below: bool
    exclude: bool

    def matches(self, label: Label) -> bool:
        """Whether the pattern, taken without its leading `-`, names this label."""
        if self.name is not None:
            return self.name == label.name and self.package == label.package
        return self.covers(label.package)

    def covers(self, package: str) -> bool:
        """Whether the pattern can name a target of this package."""
        if package == self.package:
            return True
        return self.below and (not self.package or package.startswith(self.package + "/"))

    @property
    def label(self) -> Label | None:
        """The label, if the pattern names exactly one target."""
        return None if self.name is None else Label(self.package, self.name)

    def __str__(self) -> str:
        """The canonical form; parsing it gives the same pattern in every package."""
        sign = "-" if self.exclude else ""
        if self.name is not None:
            return f"{sign}//{self.package}:{self.name}"
        if self.below:
            return f"{sign}//{self.package}/..." if self.package else f"{sign}//..."
        return f"{sign}//{self.package}:all"


class Patterns(NamedTuple):
    """Some patterns together: a label is selected if one names it and no exclusion does.

    Exclusions alone select the rest of the workspace.
    """

    includes: list[Pattern]
    excludes: list[Pattern]

    def matches(self, label: Label) -> bool:
        """Whether the patterns select this label."""
        if any(pattern.matches(label) for pattern in self.excludes):
            return False
        return not self.includes or any(pattern.matches(label) for pattern in self.includes)

    def select(self, labels: "list[Label]") -> "list[Label]":
        """The selected labels, sorted. Nothing is said about patterns without a match: see `unmatched`."""
        return sorted(label for label in labels if self.matches(label))

    def unmatched(self, labels: "list[Label]") -> "list[Pattern]":
        """The including patterns that name none of these labels: typing errors, most often."""
        return [pattern for pattern in self.includes if not any(pattern.matches(label) for label in labels)]


def check_name(name: str) -> str | None:
    """What is wrong with a target name, as the end of a sentence, or None."""
    if not _PART.fullmatch(name):
        return f"is not a target name: use {_CHARSET}"
    if name in _RESERVED:
        return "is a reserved name: `:all` means every target of a package"
    return None


def parse_label(text: str, package: str | None = None) -> Label:
    """Read a label as written in a file of `package` (None: only absolute labels are allowed).

    Raises LoadError, without a position.
    """
    if text.startswith("//"):
        where, colon, name = text[2:].partition(":")
        if not colon:
            if not where:
                raise LoadError(f"label '{text}' names no target", hint="write //package:name")
            name = where.rpartition("/")[2]
        elif not name:
            raise LoadError(f"label '{text}' has no name after the colon", hint=f"write //{where}:name")
    elif text.startswith(":"):
        if package is None:
            raise LoadError(f"label '{text}' is relative, and there is no package here", hint=f"write //package{text}")
        where, name = package, text[1:]
    else:
        raise LoadError(f"'{text}' is not a label", hint=_label_hint(text))
    if where.endswith("/...") or where == "..." or name == "...":
        raise LoadError(f"'{text}' is a pattern; here one target must be named", hint="write //package:name")
    _check_package(where, text, LoadError)
    problem = check_name(name)
    if problem:
        raise LoadError(f"label '{text}': name '{name}' {problem}")
    return Label(where, name)


def parse_pattern(text: str, package: str = "") -> Pattern:
    """Read one pattern as typed in the directory `package`. Raises UsageError."""
    exclude = text.startswith("-")
    body = text[1:] if exclude else text
    if not body:
        raise UsageError(f"'{text}' is not a target pattern", hint="write //package:name, //package/... or //...")
    where, colon, name = _absolute(body, package)
    if where == "..." or where.endswith("/..."):
        if colon and name != "all":
            raise UsageError(f"'{text}' is not a target pattern", hint="nothing can follow `...` but `:all`")
        where = where[:-4] if where != "..." else ""
        _check_package(where, text, UsageError)
        return Pattern(where, None, below=True, exclude=exclude)
    _check_package(where, text, UsageError)
    if not colon:
        if not where:
            raise UsageError(f"'{text}' names no target", hint="//... is every target of the workspace")
        name = where.rpartition("/")[2]
    elif name == "all":
        return Pattern(where, None, below=False, exclude=exclude)
    problem = check_name(name)
    if problem:
        raise UsageError(f"'{text}': name '{name}' {problem}")
    return Pattern(where, name, below=False, exclude=exclude)


def _absolute(body: str, package: str) -> tuple[str, str, str]:
    """Package, colon and name of a pattern, the package counted from the root on."""
    where, colon, name = body.partition(":")
    absolute = where.startswith("//")
    where = where[2:] if absolute else where.removeprefix("./")
    if where.startswith("/"):
        raise UsageError(
            f"'{body}' is a path, not a target pattern", hint="a label starts with two slashes: //package:name"
        )
    if absolute:
        return where.rstrip("/"), colon, name
    if not colon and where != "..." and where and "/" not in where:
        return package, ":", where  # a bare word is a target of this package
    where = where.rstrip("/")  # shells complete a directory with a slash
    return "/".join(part for part in (package, where) if part), colon, name


def parse_patterns(args: "list[str] | tuple[str, ...]", package: str = "") -> Patterns:
    """Read the patterns of a command line given in the directory `package`. Raises UsageError at the first bad one."""
    patterns = [parse_pattern(arg, package) for arg in args]
    return Patterns([p for p in patterns if not p.exclude], [p for p in patterns if p.exclude])


def _check_package(where: str, text: str, error: "type[LoadError | UsageError]") -> None:
    if not where:
        return
    for part in where.split("/"):
        if part in (".", "..", ""):
            hint = "packages are named from the workspace root on, without `.`, `..` and empty parts"
            raise error(f"'{text}': package '{where}' is not a plain path", hint=hint)
        if not _PART.fullmatch(part):
            raise error(f"'{text}': '{part}' is not a package name", hint=f"use {_CHARSET}")


def _label_hint(text: str) -> str:
    bare = text.lstrip("/")
    if _PART.fullmatch(bare):
        return f"write :{bare} for a target of the same file, //{bare} for another package"
    if ":" in bare or "/" in bare:
        return f"write //{bare}"
    return "write //package:name, or :name for a target of the same file"
