"""A company that packages models: who builds what, when, and what it is made of. Made up, from a seed.

One working day after the other: developers edit and build, pull requests and merges are built by CI, environments are
renewed now and then and all packages on them are built again.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

MB = 1_000_000
GB = 1000 * MB
HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 11, 8, 12, 14, 13, 10, 7, 4, 2, 2, 1, 1, 1)
"""How a day's builds are spread over its hours; nights are CI and other time zones."""


@dataclass(frozen=True)
class Assumptions:
    """What is assumed. All can be set on the command line."""

    models: int = 10_000
    developers: int = 500
    environments: int = 200
    developer_builds: int = 20  # by each developer, each working day
    changes: int = 1_500  # a day that are pushed: CI builds each as a pull request and once more when it is merged
    checks: int = 300  # builds a day of something that has not changed: scheduled ones, and those tried again
    renewed: int = 4  # environments a day that get other versions of packages
    own: int = 8  # models that a developer works on; builds of other ones are `others`
    others: float = 0.15
    weights: float = 0.15  # share of the edits that change the model; all others change code
    run: float = 0.2  # share of developers' builds whose image is started, so that its layers are needed
    zipf: float = 0.8  # how unevenly models are worked on
    model: int = 200 * MB  # median; spread like exp(N(0, 1.2)), no more than 20 GB
    environment: int = 900 * MB  # in `layers`; a renewed one has one other layer
    layers: int = 10
    base: int = 60 * MB
    server: int = 40 * MB
    record: int = 3_600  # bytes; of each step there are two, what it made and what it saw
    laptop: int = 200 * GB  # of layers that a developer's machine keeps, were they fetched


class Step(NamedTuple):
    """A step of a build: its key, the bytes of the layers it makes, and whether a recipe makes these again."""

    key: int
    size: int
    recipe: bool = True


class Build(NamedTuple):
    """One build. `who` is a developer's number, or None for CI; `merged` says whether CI builds the main branch."""

    second: int
    who: int | None
    merged: bool
    steps: tuple[Step, ...]
    started: bool = False


class Company:
    """The state of its sources, and its days."""

    def __init__(self, said: Assumptions, seed: int) -> None:
        self.said = said
        self._random = random.Random(seed)
        self._weights = list(accumulate(1 / (rank + 1) ** said.zipf for rank in range(said.models)))
        self._sizes = [self._size() for _ in range(said.models)]
        self._of = [self._random.randrange(said.environments) for _ in range(said.models)]
        self._users: dict[int, list[int]] = {}
        for model, environment in enumerate(self._of):
            self._users.setdefault(environment, []).append(model)
        self._own = [self._models(said.own) for _ in range(said.developers)]
        self._heads = [(0, 0)] * said.models  # versions of code and weights on the main branch
        self._edits = 0
        self._keys = 0
        self._made: dict[tuple[object, ...], Step] = {}
        bases = [self._step(said.base)._replace(recipe=False) for _ in range(5)]
        self._below = [
            (bases[number % 5], *(self._layer() for _ in range(said.layers)), self._step(said.server))
            for number in range(said.environments)
        ]

    def day(self) -> list[Build]:
        """The builds of a day, in order."""
        said, draw = self.said, self._random
        found = [*self._developers(), *self._changes()]
        found += [self._build(None, model, self._heads[model], merged=True) for model in self._models(said.checks)]
        for environment in draw.sample(range(said.environments), min(said.renewed, said.environments)):
            self._renew(environment)
            for place, model in enumerate(self._users.get(environment, ())):
                second = 3600 + 10 * place  # CI starts so many at once
                found.append(self._build(None, model, self._heads[model], merged=True, second=second))
        return sorted(found, key=lambda build: build.second)

    def rebased(self, second: int) -> list[Build]:
        """The builds of all models on one of the five bases, which has got other packages."""
        base = self._step(self.said.base)._replace(recipe=False)
        found = []
        for environment in range(0, self.said.environments, 5):
            self._below[environment] = (base, *self._below[environment][1:])
            for model in self._users.get(environment, ()):
                found.append(self._build(None, model, self._heads[model], merged=True, second=second, based=base.key))
        return found

    def _developers(self) -> Iterator[Build]:
        said, draw = self.said, self._random
        for developer, own in enumerate(self._own):
            for _ in range(said.developer_builds):
                if draw.random() < said.others:
                    (model,) = self._models(1)
                    version = self._heads[model]
                else:
                    model = draw.choice(own)
                    version = self._edit(model)
                yield self._build(developer, model, version, started=draw.random() < said.run)

    def _changes(self) -> Iterator[Build]:
        for _ in range(self.said.changes):
            developer = self._random.randrange(self.said.developers)
            model = self._random.choice(self._own[developer])
            version = self._edit(model)
            second = self._second() * 22 // 24  # it is merged on the same day
            yield self._build(developer, model, version, second=second)
            yield self._build(None, model, version, second=second + 300)
            yield self._build(None, model, version, merged=True, second=second + self._random.randrange(600, 7_200))
            self._heads[model] = version

    def _edit(self, model: int) -> tuple[int, int]:
        code, weights = self._heads[model]
        self._edits += 1
        return (code, self._edits) if self._random.random() < self.said.weights else (self._edits, weights)

    def _build(
        self,
        who: int | None,
        model: int,
        version: tuple[int, int],
        *,
        merged: bool = False,
        started: bool = False,
        second: int | None = None,
        based: int = 0,
    ) -> Build:
        code, weights = version
        below = self._below[self._of[model]]
        steps = (
            *below,
            self._known(self._sizes[model], "model", model, weights),
            self._known(40_000, "code", model, code),
            self._known(12_000, "image", model, version, below[-1].key, based),
        )
        return Build(self._second() if second is None else second, who, merged, steps, started)

    def _renew(self, environment: int) -> None:
        """Other versions of packages: one layer, and what the server puts on top."""
        base, *layers, _ = self._below[environment]
        layers[self._random.randrange(self.said.layers)] = self._layer()
        self._below[environment] = (base, *layers, self._step(self.said.server))

    def _layer(self) -> Step:
        return self._step(self.said.environment // self.said.layers)

    def _step(self, size: int) -> Step:
        self._keys += 1
        return Step(self._keys, size)

    def _known(self, size: int, *what: object) -> Step:
        """The step of what was built before, else a new one."""
        found = self._made.get(what)
        if found is None:
            found = self._made[what] = self._step(size)
        return found

    def _models(self, count: int) -> list[int]:
        return self._random.choices(range(self.said.models), cum_weights=self._weights, k=count)

    def _size(self) -> int:
        return min(round(self.said.model * self._random.lognormvariate(0, 1.2)), 20 * GB)

    def _second(self) -> int:
        (hour,) = self._random.choices(range(24), HOURS)
        return hour * 3600 + self._random.randrange(3600)
