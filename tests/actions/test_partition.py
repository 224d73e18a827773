"""Which wheels share a layer, and that a small change touches one layer."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from buildrules.plan.partition import HEAVY, MOST, partition

Wheel = dict[str, Any]
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}([-_.][a-z0-9]{1,5})?", fullmatch=True)


def wheels(size: st.SearchStrategy[int], most: int = 120) -> st.SearchStrategy[list[Wheel]]:
    one = st.builds(
        lambda name, size, version: {"name": name, "version": version, "size": size, "digest": f"{name} {version}"},
        NAMES,
        size,
        st.sampled_from(["1.0", "2.1"]),
    )
    return st.lists(one, max_size=most, unique_by=lambda wheel: canonicalize_name(wheel["name"]))


SIZES = st.one_of(st.integers(1, HEAVY - 1), st.integers(HEAVY, 1 << 33))
SMALL = st.integers(1, HEAVY - 1)


def layers(found: list[tuple[str, list[Any]]]) -> set[tuple[str, ...]]:
    return {tuple(wheel["digest"] for wheel in group) for _, group in found}


@given(wheels(SIZES), st.integers(-5, 300), st.randoms())
def test_every_wheel_is_in_one_group_and_the_budget_holds(found: list[Wheel], budget: int, random: Any) -> None:
    groups = partition(found, budget)
    assert sorted(wheel["digest"] for _, group in groups for wheel in group) == sorted(w["digest"] for w in found)
    assert all(group for _, group in groups)
    assert len({title for title, _ in groups}) == len(groups) <= max(1, min(budget, MOST)) < 100
    shuffled = list(found)
    random.shuffle(shuffled)
    assert partition(shuffled, budget) == groups


@given(wheels(SIZES), SMALL, NAMES)
def test_adding_or_removing_a_small_wheel_touches_one_layer(found: list[Wheel], size: int, name: str) -> None:
    assume(canonicalize_name(name) not in {canonicalize_name(wheel["name"]) for wheel in found})
    before = layers(partition(found))
    after = layers(partition([*found, {"name": name, "version": "1", "size": size, "digest": "new"}]))
    assert len(after - before) == 1
    assert len(before - after) <= 1


@given(wheels(SIZES), SMALL, st.data())
def test_upgrading_a_small_wheel_touches_one_layer(found: list[Wheel], size: int, data: st.DataObject) -> None:
    small = [number for number, wheel in enumerate(found) if wheel["size"] < HEAVY]
    assume(small)
    number = data.draw(st.sampled_from(small))
    upgraded = [*found]
    upgraded[number] = {**found[number], "version": "9", "size": size, "digest": "new"}
    before, after = layers(partition(found)), layers(partition(upgraded))
    assert len(after - before) == len(before - after) == 1


@given(wheels(SIZES), st.integers(HEAVY, 1 << 33), st.data())
def test_upgrading_a_heavy_wheel_touches_its_own_layer(found: list[Wheel], size: int, data: st.DataObject) -> None:
    heavy = [number for number, wheel in enumerate(found) if wheel["size"] >= HEAVY]
    assume(0 < len(heavy) <= 60)
    number = data.draw(st.sampled_from(heavy))
    upgraded = [*found]
    upgraded[number] = {**found[number], "version": "9", "size": size, "digest": "new"}
    assert layers(partition(found)) - layers(partition(upgraded)) == {(found[number]["digest"],)}


def test_the_order_is_heavy_wheels_by_name_then_buckets() -> None:
    found = [
        {"name": name, "version": "1", "size": size, "digest": name}
        for name, size in [("SciPy", 30 << 20), ("numpy", 16 << 20), ("six", 11_000), ("click", 90_000)]
    ]
    titles = [title for title, _ in partition(found)]
    assert titles[:2] == ["numpy 1", "scipy 1"]
    assert titles[2:] == sorted(titles[2:])
    assert all(title.startswith("small wheels ") for title in titles[2:])


def test_a_small_budget_shares_more_by_doubling_the_limit() -> None:
    found = [{"name": f"w{n}", "version": "1", "size": int(HEAVY * 1.1**n), "digest": str(n)} for n in range(60)]
    assert len(partition(found, 64)) == 60
    groups = partition(found, 30)
    assert len(groups) <= 30
    alone = {group[0]["size"] for title, group in groups if not title.startswith("small")}
    assert alone == {wheel["size"] for wheel in found if wheel["size"] >= 32 * HEAVY}
    assert partition([], 64) == []


def test_each_library_of_nvidia_stands_alone_while_there_is_room() -> None:
    names = ["nvidia-nvtx", "nvidia_nvjitlink_cu12", "nvidia-ml-py", "numpy"]
    found: list[Wheel] = [{"name": name, "version": "1", "size": 10} for name in names]
    alone = {group[0]["name"] for title, group in partition(found) if not title.startswith("small")}
    assert alone == {"nvidia-nvtx", "nvidia_nvjitlink_cu12"}
    many: list[Wheel] = [{"name": f"nvidia-part{number}", "version": "1", "size": 10} for number in range(90)]
    assert all(title.startswith("small") for title, _ in partition(many))
