"""What a new plan takes over from the state of a workspace: actions that nothing touched, other command lines."""

from collections.abc import Collection, Iterable, Mapping

from buildrules.cli.looked_at import Search
from buildrules.engine.build import Build, Outcome
from buildrules.engine.cache import foresee, lacking
from buildrules.engine.inputs import Facts
from buildrules.engine.kept import Kept
from buildrules.engine.plan import bare
from buildrules.state.reader import Known, State
from buildrules.state.writer import Base, watch


class Carried:
    """The actions of a state that a new plan has as well. `holds` says whether other plans made from it still are."""

    def __init__(self, state: State, root: str) -> None:
        self.state = state
        self.kept = Kept(state)
        everything = Known(0, ((), None, (), (), [], ("", "", ""), ()))
        self.groups = state.changed(everything, root + "/")
        direct = {number for group in self.groups for number in state.group(group)[1]} | state.stale
        self.stale = self.kept.above(direct)
        self.numbers = {state.action(number)[0][0]: number for number in range(state.action_count)}
        self.taken: frozenset[str] = frozenset()  # the actions that nobody looks at again
        search = Search(root, [])
        self._renewed = {group: Facts(*state.group(group)[0]).renewed(root) for group in self.groups}
        self.holds = all(facts.hold(root, search) for facts in self._renewed.values())

    def apply(self, build: Build, *, whole: bool) -> None:
        """Tell `build` what is known: of each action what it was, of those that nothing touched that they are done.

        With `whole` the blobs of everything are going to be used.
        """
        previous: dict[str, Outcome] = {}
        names = build.plan.everything()
        if whole:
            there = (self.numbers[name] for name in names if name in self.numbers)
            foresee((self.kept[number].outputs for number in there), build.here.blobs)
        for name in names:
            number = self.numbers.get(name)
            if number is None:
                continue
            one, action = self.kept[number], build.plan.actions[name]
            previous[name] = one.outcome()
            one.warm(build.sources)
            if (
                number in self.stale
                or bare(one.action) != bare(action)
                or one.version != build.kinds.version(action.kind)
            ):
                continue
            if all(dep in build.outcomes for dep in action.deps) and not (
                whole and lacking(one.outputs, build.here.blobs)
            ):
                build.outcomes[name] = previous[name]
        build.previous = previous
        build.recall = self.kept.recall(self.numbers)
        stack = [name for name in names if name not in build.outcomes]
        while stack:
            for dep in build.plan.actions[stack.pop()].deps:
                known = build.outcomes.get(dep)
                if known is not None and known.outputs is not None and lacking(known.outputs, build.here.blobs):
                    del build.outcomes[dep]
                    stack.append(dep)
        self.taken = frozenset(build.outcomes)

    def others(self, words: tuple[str, ...], facts: Mapping[str, Facts]) -> tuple[list[Known], list[Facts]]:
        """The other requests that may stay beside that with these words, and what their plans were made from: that
        still holds, and goes on mattering. `facts` are those of the plan for `words`, by directory.
        """
        requests = [request for request in self.state.requests() if request.words != words] if self.holds else []
        older = self._facts(requests)
        agree = all(one.at not in facts or facts[one.at].agree(one) for one in older)
        return (requests, older) if agree else ([], [])

    def only(self, words: tuple[str, ...], requests: list[Known], names: Collection[str]) -> tuple[list[int], set[int]]:
        """The actions beside `names` that stay: those that `requests` need, and those that no plan has, until the next
        edit that ends plans; they tell why what is planned for them again is another thing. The latter also by
        themselves.
        """
        needed = self._below(requests)
        known = list(self.state.requests())
        forgotten = self._below(request for request in known if request.words != words)
        if self.holds:
            forgotten |= set(range(self.state.action_count)) - self._below(known)
        rest = [number for number in sorted(needed | forgotten) if self.kept[number].action.id not in names]
        return rest, forgotten - needed

    def _below(self, requests: Iterable[Known]) -> set[int]:
        return self.kept.below(number for request in requests for number in (*request.goals, *request.sides))

    def _facts(self, requests: list[Known]) -> list[Facts]:
        groups: set[int] = set()
        for request in requests:
            watched = self.state.watched(request)
            groups.update(range(self.state.group_count) if watched is None else watched)
        return [self._renewed.get(group) or Facts(*self.state.group(group)[0]) for group in sorted(groups)]

    def moved(
        self, request: Known, numbers: Mapping[str, int], order: Mapping[str, int], base: Base, ran: set[int]
    ) -> Known | None:
        """A request with the numbers of a new base, None where something it needs is not there any more."""

        def new(olds: Iterable[int]) -> tuple[int, ...]:
            return tuple(numbers[self.kept[old].action.id] for old in olds)

        try:
            outdated = {*new(request.outdated), *ran}
            request.goals, request.sides = new(request.goals), new(request.sides)
            request.outdated = tuple(number for number in request.goals if number in outdated)
            watched = self.state.watched(request)
            if watched is not None:
                places = [order[Facts(*self.state.group(group)[0]).at] for group in watched]
                request.watch = watch(sorted(places), base.groups)
        except KeyError:
            return None
        return request
