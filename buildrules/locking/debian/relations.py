"""Relations between packages: `a (>= 1) | b, c:any` (Debian Policy chapter 7)."""

import re
from dataclasses import dataclass

from buildrules.errors import ResolutionError
from buildrules.locking.debian import versions

_ONE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9.+_-]*)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<relation><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s)]+)\s*\))?"
    r"\s*(?:\[[^\]]*\])?\s*(?:<[^>]*>\s*)*"
)
_OLD = {"<": "<=", ">": ">="}  # deprecated spellings that dpkg still reads this way


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative. `relation` is "" where any version will do; `qualifier` is "", "any" or an architecture."""

    name: str
    relation: str = ""
    version: str = ""
    qualifier: str = ""

    def accepts(self, version: str) -> bool:
        """Whether a package of this version fits; the name is not looked at."""
        return versions.satisfies(version, self.relation, self.version)

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.relation} {self.version})" if self.relation else name


Group = tuple[Relation, ...]
"""Alternatives, one of which must hold, in the order of preference."""


def parse(text: str, where: str = "") -> tuple[Group, ...]:
    """The groups of a relation field; () for an empty one. Raises ResolutionError that quotes what cannot be read."""
    groups: list[Group] = []
    for clause in text.split(","):
        alternatives = [parse_one(part, where) for part in clause.split("|") if part.strip()]
        if alternatives:
            groups.append(tuple(alternatives))
    return tuple(groups)


def parse_one(text: str, where: str = "") -> Relation:
    """One alternative, such as `libc6 (>= 2.36)`. Raises ResolutionError on anything else."""
    match = _ONE.fullmatch(text.strip())
    if match is None:
        at = f" of {where}" if where else ""
        raise ResolutionError(f"cannot read the package relation {text.strip()!r}{at}")
    relation = match["relation"] or ""
    return Relation(match["name"], _OLD.get(relation, relation), match["version"] or "", match["qualifier"] or "")


def show(group: Group) -> str:
    """The group as it stands in a control file."""
    return " | ".join(str(relation) for relation in group)
