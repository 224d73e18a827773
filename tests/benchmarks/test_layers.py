"""The generated environments: the same for the same numbers, and in layers as a plan has them."""

from benchmarks.environments import FAMILIES, models
from benchmarks.layers import GOAL, layers, row


def wheel(name: str, size: int, version: str = "1") -> dict[str, object]:
    return {"name": name, "version": version, "size": size, "sha256": f"{name} {version}"}


def test_the_same_seed_gives_the_same_models() -> None:
    assert models(100, 7) == models(100, 7) != models(100, 8)
    assert {model.family for model in models(100, 7)} == set(FAMILIES)
    assert len({(model.requirements, model.server, model.day) for model in models(100, 7)}) > 90


def test_what_is_kept_twice_is_small_wheels_in_different_company() -> None:
    heavy = wheel("numpy", 20 << 20)
    images = {
        "one": layers([[heavy, wheel("six", 1000)], [wheel("waitress", 2000)]]),
        "two": layers([[heavy, wheel("six", 1000), *(wheel(f"other{number}", 100) for number in range(20))], []]),
    }
    title, measured, goal = row("both", images, GOAL)
    assert title == "both"
    assert measured.startswith("1.000 x: 21 MB in ")
    assert goal == f"{GOAL:.2f} x: reached"
