"""The simulation of a team's cache: the same numbers give the same figures, and what must be true of them is."""

from benchmarks.company import Assumptions, Company
from benchmarks.team import CONTENT, Day, Kept, Laptop, Step, Team, rows, simulate

SMALL = Assumptions(models=60, developers=6, environments=4, developer_builds=5, changes=10, checks=3, renewed=1)


def of_ci(days: int, seed: int = 1) -> tuple[Team, list[Day]]:
    """Where CI alone writes."""
    (found,) = simulate(SMALL, seed, days, all_write=[False])
    return found


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second, other = (rows(SMALL, *of_ci(6, seed)) for seed in (1, 1, 2))
    assert first == second != other


def test_who_writes_decides_what_others_find() -> None:
    (_, alone), (_, all_of_them) = simulate(SMALL, 1, 10, all_write=[False, True])
    hits = [sum(day.hits["CI"] for day in days) for days in (alone, all_of_them)]
    written = [sum(day.layers for day in days) for days in (alone, all_of_them)]
    assert hits[0] < hits[1]
    assert written[0] < written[1]
    assert sum(day.steps["CI"] for day in alone) == sum(day.steps["CI"] for day in all_of_them)


def test_a_hit_that_fetches_moves_more_than_what_is_started() -> None:
    _, days = of_ci(10)
    assert sum(day.started for day in days) < sum(day.fetched.total() for day in days)
    for day in days:
        assert day.hits["CI"] <= day.steps["CI"] <= day.asked["CI"] == day.seconds.total() - day.asked["developers"]


def test_what_is_written_is_kept_until_it_is_old() -> None:
    team, days = of_ci(10)
    assert team.layers.size() == sum(day.layers for day in days)
    assert team.content.size() == sum(day.content for day in days) <= 5 * SMALL.base
    assert team.pushed.size() == sum(day.pushed for day in days) <= team.layers.size()
    later, days = of_ci(CONTENT + 20)
    assert later.layers.size() < sum(day.layers for day in days)


def test_what_is_old_goes_unless_it_is_needed() -> None:
    kept = Kept()
    for key, day in ((1, 1), (2, 5), (3, 1)):
        assert kept.add(Step(key, 10), day)
    assert not kept.has(Step(4, 10))
    kept.expire(5, lambda key: key == 3)
    assert (kept.size(), sorted(kept.written)) == (20, [2, 3])


def test_a_laptop_keeps_what_fits() -> None:
    laptop = Laptop(25)
    assert [laptop.fetch(Step(key, 10)) for key in (1, 2, 1, 3, 1, 2)] == [10, 10, 0, 10, 0, 10]


def test_a_day_is_in_order_and_within_a_day() -> None:
    day = Company(SMALL, 1).day()
    assert [build.second for build in day] == sorted(build.second for build in day)
    assert all(0 <= build.second < 86_400 for build in day)
    assert len({step.key for step in day[0].steps}) == len(day[0].steps) == SMALL.layers + 5
