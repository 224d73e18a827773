"""What tags are called after."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.cli.stamps import LONGEST, Stamps
from buildrules.errors import UsageError
from buildrules.oci.names import TAG


class Known(Stamps):
    """On a branch of that name."""

    def __init__(self, branch: str) -> None:
        super().__init__("/nowhere", {})
        self._known["git.branch"] = branch


@given(st.text(min_size=1))
def test_every_branch_gives_a_tag_or_an_error(branch: str) -> None:
    try:
        tag = Known(branch).tag("{git.branch}", "1")
    except UsageError:
        assert not any((letter.isascii() and letter.isalnum()) or letter == "_" for letter in branch)
        return
    assert TAG.fullmatch(tag)
    assert Known(branch).tag("v1-{git.branch}", "1").startswith("v1-")


@pytest.mark.parametrize(
    ("branch", "tag"),
    [
        ("main", "main"),
        ("feature/AB-1_x", "feature-AB-1_x"),
        ("user@host #1", "user-host-1"),
        ("a" * 200, "a" * LONGEST),
    ],
)
def test_branches_as_tags(branch: str, tag: str) -> None:
    assert Known(branch).tag("{git.branch}", "1") == tag


@pytest.mark.parametrize("template", ["", "a/b", "-x", "{version}/{date}", "x y", "a" * 129])
def test_a_template_that_is_no_tag_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="is not a tag"):
        Stamps("/nowhere", {}).tag(template, "1")


def test_values_of_the_environment() -> None:
    stamps = Stamps("/nowhere", {"SOURCE_DATE_EPOCH": "1700000000"})
    assert stamps.tag("{version}-{date}", "1.2") == "1.2-2023-11-14"
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is not a number"):
        Stamps("/nowhere", {"SOURCE_DATE_EPOCH": "soon"}).tag("{date}", "1")


def test_without_a_repository_it_says_what_git_said(tmp_path: Path) -> None:
    for field in ("git.sha", "git.branch"):
        with pytest.raises(UsageError, match=rf"there is no \{{{field}\}}: .*not a git repository"):
            Stamps(str(tmp_path), {}).tag(f"{{{field}}}", "1")
