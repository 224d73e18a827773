"""The smallest closure of dependencies that holds: newest versions, first alternatives, nothing recommended."""

from collections import deque
from dataclasses import dataclass, field

from buildrules.errors import ResolutionError
from buildrules.locking.debian import relations
from buildrules.locking.debian.packages import Package, Universe
from buildrules.locking.debian.relations import Group, Relation
from buildrules.locking.debian.request import DebianRequest

ATTEMPTS = 200


@dataclass(slots=True)
class Chosen:
    """A package of the solution and the names of those that need it ("" never; roots say who asked)."""

    package: Package
    asked_by: set[str]


class _Ban(Exception):
    """Start again without one version, since a later relation does not accept it."""

    def __init__(self, package: Package, reason: ResolutionError) -> None:
        super().__init__(str(package))
        self.package = package
        self.reason = reason


def solve(request: DebianRequest, universe: Universe) -> list[Chosen]:
    """The packages for a request, sorted by name. Raises ResolutionError that says who needs what."""
    banned: set[tuple[str, str]] = set()
    reason: ResolutionError | None = None
    for _ in range(ATTEMPTS):
        try:
            return _Attempt(request, universe, banned, reason).run()
        except _Ban as ban:
            banned.add((ban.package.name, ban.package.version))
            reason = ban.reason
    raise reason or ResolutionError(f"packages of {request.name!r} cannot be resolved")


@dataclass(slots=True)
class _Attempt:
    """One pass: roots first, then whatever needs no choice, then alternatives."""

    request: DebianRequest
    universe: Universe
    banned: set[tuple[str, str]]
    reason: ResolutionError | None  # why the last attempt was given up: what to report where no version is left
    chosen: dict[str, Chosen] = field(default_factory=dict)
    plain: deque[tuple[Package, Group]] = field(default_factory=deque)
    choices: deque[tuple[Package, Group]] = field(default_factory=deque)

    def run(self) -> list[Chosen]:
        for text, asker in sorted(self.request.roots(self.universe).items()):
            self._root(relations.parse_one(text, self.request.name), asker)
        while self.plain or self.choices:
            package, group = self.plain.popleft() if self.plain else self.choices.popleft()
            self._need(package, group)
        return [self.chosen[name] for name in sorted(self.chosen)]

    def _root(self, relation: Relation, asker: str) -> None:
        found = self._candidates(relation)
        if not found:
            raise self.reason or ResolutionError(
                f"{asker} asks for {str(relation)!r}, which {self._place()} does not have" + self._others(relation),
                hint="check the name; packages come from the component main",
            )
        self._choose((relation,), found, asker)

    def _need(self, package: Package, group: Group) -> None:
        for relation in group:
            for holder in self.chosen.values():
                if self._fits(relation, holder.package):
                    holder.asked_by.add(package.name)
                    return
        if all(self.request.drops(package.name, relation.name) for relation in group):
            return
        found = [one for relation in group for one in self._candidates(relation)]
        fresh = [one for one in found if one.name not in self.chosen]
        if fresh:
            self._choose(group, fresh, package.name)
            return
        problem = ResolutionError(
            f"{package} needs {relations.show(group)!r}, which {self._place()} does not have"
            + "".join(self._others(relation) for relation in group)
            + self._chain(package.name)
        )
        # A version chosen before this relation was seen may be the only obstacle; if not, another version of the
        # package that asks may need less.
        if found:
            raise _Ban(self.chosen[found[0].name].package, problem)
        if len(self._versions(package.name)) > 1:
            raise _Ban(package, problem)
        raise self.reason or problem

    def _choose(self, group: Group, found: list[Package], asker: str) -> None:
        """Take the first of `found` that conflicts with nothing chosen so far."""
        problem: ResolutionError | None = None
        for one in found:
            enemy = self._conflict(one)
            if enemy is None:
                self._add(one, asker)
                return
            problem = problem or ResolutionError(
                f"{asker} needs {relations.show(group)!r}, but {one} conflicts with {enemy}" + self._chain(enemy.name)
            )
        raise problem or AssertionError("a choice among nothing")

    def _add(self, package: Package, asker: str) -> None:
        already = self.chosen.get(package.name)
        if already is not None:
            already.asked_by.add(asker)
            return
        self.chosen[package.name] = Chosen(package, {asker})
        for group in package.depends:
            (self.plain if len(group) == 1 else self.choices).append((package, group))

    def _versions(self, name: str) -> list[Package]:
        return [one for one in self.universe.named(name) if (one.name, one.version) not in self.banned]

    def _candidates(self, relation: Relation) -> list[Package]:
        """What satisfies a relation: the package itself, newest first, then those that provide it."""
        if relation.qualifier not in ("", "any", "native", self.request.architecture):
            return []
        real = [one for one in self._versions(relation.name) if relation.accepts(one.version)]
        provided = [
            one
            for one in self.universe.providing(relation.name)
            if one.name != relation.name and (one.name, one.version) not in self.banned and one.provided(relation)
        ]
        return real + provided

    def _fits(self, relation: Relation, package: Package) -> bool:
        if relation.qualifier not in ("", "any", "native", self.request.architecture):
            return False
        if package.name == relation.name and relation.accepts(package.version):
            return True
        return package.provided(relation)

    def _conflict(self, package: Package) -> Package | None:
        for other in (holder.package for holder in self.chosen.values()):
            if other.name != package.name and (_rejects(package, other) or _rejects(other, package)):
                return other
        return None

    def _place(self) -> str:
        return f"{self.request.suite}/{self.request.architecture}"

    def _others(self, relation: Relation) -> str:
        have = [one.version for one in self.universe.named(relation.name)]
        return f" ({relation.name} is there as {', '.join(have)})" if have and relation.relation else ""

    def _chain(self, name: str) -> str:
        """Who asked for `name`, up to the request."""
        steps: list[str] = []
        while name in self.chosen and name not in steps:
            steps.append(name)
            name = min(self.chosen[name].asked_by)
        return f"; {' is asked for by '.join([*steps, name])}" if steps else ""


def _rejects(package: Package, other: Package) -> bool:
    """Whether `package` declares a conflict with or breakage of `other`, or of something it provides."""
    return any(
        (other.name == relation.name and relation.accepts(other.version)) or other.provided(relation)
        for group in package.conflicts
        for relation in group
    )
