"""What is a recipe and what only looks like one."""

import pytest

from buildrules.errors import IntegrityError
from buildrules.oci import recipe as recipes

DIGEST = "sha256:" + "0" * 64
WHEEL = "demo-1.0-py3-none-any.whl"
GOOD = [
    recipes.directory("tmp", 0o1777),
    recipes.symlink("usr/bin/python", "../../opt/python"),
    recipes.symlink("bin", "usr/bin"),
    recipes.symlink("etc/localtime", "/usr/share/zoneinfo/UTC"),
    recipes.inline("etc/motd", "grüezi\n"),
    recipes.file("models/a", DIGEST, 7, 0o755),
    recipes.file("models/b", DIGEST, 0, as_layer=True),
    recipes.wheel(DIGEST, WHEEL, "opt/venv", "3.11"),
    {"kind": "deb", "digest": DIGEST, "drop": ["usr/share/doc/*"]},
    recipes.conda(DIGEST, "a-1.0-0.conda", "opt/conda", "", ["bin/a"]),
    recipes.conda(DIGEST, "a-1.0-0.tar.bz2", "opt/conda", "3.13", []),
]
BAD_PATHS = ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", ".", "a/.", "..", "a\0b", "\ud800", "a/.wh.b"]


@pytest.mark.parametrize("part", GOOD, ids=lambda part: str(part["kind"]))
def test_the_parts_the_builders_make_are_good(part: recipes.Part) -> None:
    for recipe in (recipes.tar([part]), recipes.gzip([part], 12)):
        assert recipes.check(recipe) is recipe


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_is_not_relative_and_normalised_is_refused(path: str) -> None:
    for part in (
        recipes.directory(path),
        recipes.inline(path, "x"),
        recipes.symlink(path, "x"),
        recipes.file(path, DIGEST, 1),
        recipes.wheel(DIGEST, WHEEL, path, "3.11"),
    ):
        with pytest.raises(IntegrityError):
            recipes.check(recipes.tar([part]))


@pytest.mark.parametrize("target", ["..", "../../etc", "a/../../..", "", "x\0", "\udcff"])
def test_a_link_that_leaves_the_root_is_refused(target: str) -> None:
    path = "a" if target == ".." else "a/b"
    with pytest.raises(IntegrityError, match=r"symlink|part"):
        recipes.check(recipes.tar([recipes.symlink(path, target)]))


@pytest.mark.parametrize(
    "recipe",
    [
        None,
        [],
        {},
        {"version": 3, "compression": "none", "parts": []},
        {"version": True, "compression": "none", "parts": []},
        {"version": 2, "compression": "zip", "parts": []},
        {"version": 2, "compression": ["none"], "parts": []},
        {"version": 2, "compression": "none"},
        {"version": 2, "compression": "none", "parts": {}},
        {"version": 2, "compression": "none", "parts": [], "level": 1},
        {"version": 2, "compression": "gzip", "parts": []},
        {"version": 2, "compression": "gzip", "parts": [], "level": 13},
        {"version": 2, "compression": "gzip", "parts": [], "level": "1"},
        {"version": 2, "compression": "none", "source": "x"},
        {"version": 2, "codec": "tar", "parts": []},
    ],
)
def test_a_malformed_recipe_is_refused(recipe: object) -> None:
    with pytest.raises(IntegrityError):
        recipes.check(recipe)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "device"},
        {"kind": None},
        {"mode": -1},
        {"mode": 0o10000},
        {"mode": "755"},
        {"mode": True},
        {"size": -1},
        {"size": 1.5},
        {"kind": "layer"},
        {"digest": {}},
        {"digest": "sha256:" + "Z" * 64},
        {"digest": "../../etc/passwd"},
        {"layer": "../../etc/passwd"},
        {"extra": 1},
        {"path": 3},
    ],
)
def test_a_malformed_part_is_refused(change: dict[str, object]) -> None:
    part = {**recipes.file("a", DIGEST, 1), **change}
    with pytest.raises(IntegrityError):
        recipes.check(recipes.tar([part]))
    with pytest.raises(IntegrityError):
        recipes.check(recipes.tar([{key: value for key, value in part.items() if key != "digest"}]))


@pytest.mark.parametrize(("field", "value"), [("python", "3"), ("python", "3.x"), ("filename", "a/b-1-c-d-e.whl")])
def test_a_malformed_wheel_part_is_refused(field: str, value: str) -> None:
    with pytest.raises(IntegrityError, match=field):
        recipes.check(recipes.tar([{**recipes.wheel(DIGEST, WHEEL, "opt", "3.11"), field: value}]))
