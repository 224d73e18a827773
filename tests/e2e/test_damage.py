"""A cache can only save time: whatever is damaged in the store, the command that meets it heals it or does without."""

import random
import shutil
from itertools import cycle
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.damage import DAMAGES, VERBS, Damaged
from tests.support.dockerlab import tidy
from tests.support.quick import first_quick
from tests.support.space import APP, Space

SHARDS = 20
CASES = 2000
OFTEN = [verb for verb in VERBS for _ in range(1 if verb in ("clean", "expunge", "lock") else 4)]  # the rest is fast


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, template: Path, warm: Path) -> Damaged:
    """One for all: it is put back before each case."""
    space = Space(tmp_path_factory.mktemp("damaged"), wheelhouse)
    shutil.copytree(template, space.root)
    shutil.copytree(warm, space.store)
    space.settle()
    return Damaged(space)


@pytest.mark.parametrize("part", first_quick(range(4)))
def test_d1_one_of_each_damage_is_healed_by_what_meets_it(damaged: Damaged, part: int) -> None:
    verbs = cycle(VERBS)
    cases = [(place, how, next(verbs)) for place, how in damaged.classes()]
    for place, how, verb in cases[part::4]:
        damaged.case(place, how, verb)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_d1_any_damage_met_by_any_verb_is_healed(damaged: Damaged, shard: int) -> None:
    for seed in range(shard * CASES // SHARDS, (shard + 1) * CASES // SHARDS):
        chooser = random.Random(seed)
        place = chooser.choice(damaged.places)
        damaged.case(place, chooser.choice(damaged.ways(place)), chooser.choice(OFTEN), seed)


@pytest.mark.slow
def test_d1_lock_heals_what_uv_keeps(damaged: Damaged) -> None:
    for seed in range(30):
        chooser = random.Random(seed)
        place = chooser.choice(damaged.kept_by_uv)
        damaged.case(place, chooser.choice(damaged.ways(place)), "lock", seed)


@pytest.mark.docker
def test_d1_load_heals_what_it_meets(settled: Space, engine: Engine) -> None:
    with tidy(engine, settled.name):
        for how in ("flip", "truncate", "directory"):
            for digest, path in sorted(settled.blobs().items()):
                DAMAGES[how](path, random.Random(digest))
            settled.run("load", APP).said("loaded ")
            settled.run("cache", "verify", code=None)
