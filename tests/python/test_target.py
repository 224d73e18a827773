import pytest
from packaging.tags import Tag, parse_tag

from buildrules.actions.python.target import Target
from buildrules.errors import UsageError


def test_tags_are_those_of_the_image() -> None:
    tags = Target("linux/amd64", "3.11.2", "2.36").tags()
    assert tags[0] == Tag("cp311", "cp311", "manylinux_2_36_x86_64")
    for good in (
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux2014_x86_64",
        "cp311-cp311-manylinux1_x86_64",
        "cp39-abi3-manylinux_2_17_x86_64",
        "py3-none-manylinux2014_x86_64",
        "cp311-cp311-linux_x86_64",
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-none-any",
    ):
        assert not parse_tag(good).isdisjoint(tags), good
    for bad in (
        "cp311-cp311-manylinux_2_37_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp312-abi3-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_28_aarch64",
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "pp311-pypy311_pp73-manylinux_2_28_x86_64",
        "py2-none-any",
    ):
        assert parse_tag(bad).isdisjoint(tags), bad


@pytest.mark.parametrize(
    ("python", "good", "bad"),
    [
        ("3.13.5t", ["cp313-cp313t", "py3-none"], ["cp313-cp313", "cp312-abi3"]),  # PEP 703: no stable ABI
        ("3.13.5", ["cp313-cp313", "cp312-abi3"], ["cp313-cp313t"]),
        ("3.15.1", ["cp315-cp315", "cp39-abi3"], ["cp314-cp314"]),
        ("3.8.20", ["cp38-cp38", "cp36-abi3"], ["cp38-cp38m", "cp39-abi3"]),
        ("3.7.17", ["cp37-cp37m"], ["cp37-cp37"]),
    ],
)
def test_the_abi_is_that_of_the_python(python: str, good: list[str], bad: list[str]) -> None:
    target = Target("linux/amd64", python)
    tags = target.tags()
    assert all(not parse_tag(f"{tag}-manylinux_2_17_x86_64").isdisjoint(tags) for tag in good)
    assert all(parse_tag(f"{tag}-manylinux_2_17_x86_64").isdisjoint(tags) for tag in bad)
    assert target.environment()["python_full_version"] == python.removesuffix("t")
    assert Target.from_dict(target.to_dict()) == target


def test_newer_libc_is_better_and_legacy_names_stand_beside_their_versions() -> None:
    platforms = Target("linux/amd64", "3.11.2", "2.28").platform_tags()
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert platforms[-1] == "linux_x86_64"
    assert platforms.index("manylinux_2_17_x86_64") + 1 == platforms.index("manylinux2014_x86_64")
    arm = Target("linux/arm64", "3.11.2", "2.28").platform_tags()
    assert "manylinux_2_16_aarch64" not in arm and "manylinux2014_aarch64" in arm


@pytest.mark.parametrize(
    ("glibc", "name"),
    [("2.36", "2_36"), ("2.41", "2_40"), ("2.30", "2_28"), ("2.17", "2_17"), ("2.27", "2_17")],
)
def test_uv_is_told_no_newer_libc(glibc: str, name: str) -> None:
    assert Target("linux/arm64", "3.13.5", glibc).uv_platform == f"aarch64-manylinux_{name}"


def test_markers() -> None:
    from packaging.markers import Marker

    environment = Target("linux/arm64", "3.11.2").environment()
    text = "platform_machine == 'aarch64' and python_full_version == '3.11.2' and sys_platform == 'linux'"
    assert Marker(text).evaluate(environment)


@pytest.mark.parametrize(
    ("platform", "python", "glibc"),
    [("windows/amd64", "3.11", "2.36"), ("linux/s390x", "3.11", "2.36"), ("linux/amd64", "three", "2.36"),
     ("linux/amd64", "3.11", "two"), ("linux/amd64", "3", "2.36"), ("linux/amd64", "3.11", "2.36.1")],
)  # fmt: skip
def test_what_is_no_target(platform: str, python: str, glibc: str) -> None:
    with pytest.raises(UsageError):
        Target(platform, python, glibc)


def test_round_trip() -> None:
    target = Target("linux/arm64", "3.12.4", "2.41")
    assert Target.from_dict(target.to_dict()) == target
    assert (target.version, target.python_minor, target.glibc_version) == ((3, 12), "3.12", (2, 41))
