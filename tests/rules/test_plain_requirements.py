"""Requirements that are known to be some without a parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from buildrules.rules.types import PLAIN_REQUIREMENT


@given(st.from_regex(PLAIN_REQUIREMENT, fullmatch=True))
def test_what_is_taken_for_a_requirement_unparsed_is_one(text: str) -> None:
    assert Requirement(text).url is None


@pytest.mark.parametrize("text", ["a==1.*", "a~=1", "a @ https://x", "a>=1;x", "a[b]", "-a", "a-", "a ==1", "a==1\n"])
def test_other_requirements_are_parsed(text: str) -> None:
    assert not PLAIN_REQUIREMENT.fullmatch(text)
