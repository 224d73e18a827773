"""Version order against dpkg itself."""

import subprocess
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildrules.locking.debian import versions

ORDERED = [
    "0~", "0", "1.0~~", "1.0~rc1-1", "1.0", "1.0-0+b1", "1.0-1~deb12u1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+dfsg",
    "1.0.1", "1.2", "1.10", "2.36-9+deb12u9", "2.36-9+deb12u14", "1:0.1", "2:0",
]  # fmt: skip


def by_dpkg(one: str, relation: str, two: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", one, relation, two], check=False).returncode == 0


@pytest.mark.parametrize(("one", "two"), list(pairwise(ORDERED)))
def test_order(one: str, two: str) -> None:
    assert versions.compare(one, two) == -1
    assert versions.compare(two, one) == 1
    assert by_dpkg(one, "lt", two)


def test_a_revision_of_zero_is_none() -> None:
    assert versions.compare("1.0-0", "1.0") == 0
    assert versions.compare("0:1.0", "1.00") == 0


piece = st.text(alphabet="0123456789ab.+~", max_size=6)
version = st.builds(
    lambda epoch, upstream, revision: f"{epoch}0{upstream}{revision}",
    st.sampled_from(["", "0:", "1:"]),
    piece,
    st.one_of(st.just(""), piece.map(lambda text: "-0" + text)),
)


@settings(max_examples=100)
@given(version, version)
def test_agrees_with_dpkg(one: str, two: str) -> None:
    expected = "lt" if by_dpkg(one, "lt", two) else "eq" if by_dpkg(one, "eq", two) else "gt"
    assert {-1: "lt", 0: "eq", 1: "gt"}[versions.compare(one, two)] == expected


@pytest.mark.parametrize(
    ("relation", "holds"), [("<<", False), ("<=", True), ("=", True), (">=", True), (">>", False), ("", True)]
)
def test_relations(relation: str, holds: bool) -> None:
    assert versions.satisfies("1.0-1", relation, "1.0-1") is holds
