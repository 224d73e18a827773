"""Labels and patterns: what is written, what it means, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.errors import LoadError, UsageError
from buildrules.workspace.labels import Label, check_name, parse_label, parse_pattern, parse_patterns

parts = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,8}", fullmatch=True)
names = parts.filter(lambda name: check_name(name) is None)
packages = st.lists(parts, max_size=4).map("/".join)
labels = st.builds(Label, packages, names)


@pytest.mark.parametrize(
    ("text", "package", "expected"),
    [
        ("//a/b:c", None, ("a/b", "c")),
        ("//a/b", None, ("a/b", "b")),
        ("//a", None, ("a", "a")),
        ("//:c", None, ("", "c")),
        (":c", "", ("", "c")),
        (":c", "a/b", ("a/b", "c")),
        ("//a:c", "x", ("a", "c")),
        ("//a-b/c.d:e+f_1", None, ("a-b/c.d", "e+f_1")),
    ],
)
def test_label(text: str, package: str | None, expected: tuple[str, str]) -> None:
    label = parse_label(text, package)
    assert (label.package, label.name) == expected


@pytest.mark.parametrize(
    "text",
    [
        *["", "a", "a:b", "/a:b", "//", "//a:", "//a/:b", "///a", "//a//b:c", "//../a:b", "//a/./b", "//a:b:c"],
        *["//a:b/c", "//a:..", "//a:.b", "//a:-b", "//a b:c", "//a:b\n", "//a:é", "//a:all", "//a/...", "//..."],
        *["//a:...", "//a\0:b"],
    ],
)
def test_what_is_no_label(text: str) -> None:
    with pytest.raises(LoadError):
        parse_label(text, "pkg")


def test_a_relative_label_needs_a_package() -> None:
    with pytest.raises(LoadError, match="relative"):
        parse_label(":c")


def test_the_hint_shows_what_was_meant() -> None:
    with pytest.raises(LoadError) as caught:
        parse_label("models:x", "")
    assert caught.value.hint == "write //models:x"


@given(labels)
def test_a_label_reads_back(label: Label) -> None:
    assert parse_label(str(label)) == label
    if label.package.rpartition("/")[2] == label.name:
        assert parse_label(f"//{label.package}") == label
    assert parse_label(f":{label.name}", label.package) == label


@given(labels, labels)
def test_labels_are_equal_when_their_text_is(one: Label, other: Label) -> None:
    assert (one == other) == (str(one) == str(other))
    assert (hash(one) == hash(other)) or one != other
    assert sorted([one, other]) == sorted([other, one])


@pytest.mark.parametrize(
    ("text", "package", "expected"),
    [
        ("//a:b", "", "//a:b"),
        ("//a", "x", "//a:a"),
        ("//a:all", "x", "//a:all"),
        ("//...", "x", "//..."),
        ("...", "", "//..."),
        ("...", "a/b", "//a/b/..."),
        ("./...", "a", "//a/..."),
        ("//a/...:all", "", "//a/..."),
        (":all", "a", "//a:all"),
        (":x", "a", "//a:x"),
        ("x", "a", "//a:x"),
        ("b/c", "a", "//a/b/c:c"),
        ("b/", "a", "//a/b:b"),
        ("b:c", "a", "//a/b:c"),
        ("b/...", "a", "//a/b/..."),
        ("-//a/...", "", "-//a/..."),
        ("-:x", "a", "-//a:x"),
    ],
)
def test_pattern(text: str, package: str, expected: str) -> None:
    assert str(parse_pattern(text, package)) == expected


@pytest.mark.parametrize(
    "text", ["", "-", "//", "/a", "///a", "../a", "a/../b", "//a:b/c", "//a:", "//a/...:b", "a b", "//a//b"]
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(UsageError):
        parse_pattern(text, "pkg")


@given(packages, st.one_of(st.none(), names), st.booleans(), st.booleans(), packages)
def test_a_pattern_reads_back_anywhere(package: str, name: str | None, below: bool, exclude: bool, where: str) -> None:
    tail = f":{name}" if name else ("/..." if package else "...") if below else ":all"
    pattern = parse_pattern(f"{'-' if exclude else ''}//{package}{tail}", where)
    again = parse_pattern(str(pattern), where)
    assert (again.package, again.name, again.below, again.exclude) == (package, name, below and not name, exclude)


@given(labels)
def test_every_label_is_in_what_surrounds_it(label: Label) -> None:
    assert parse_pattern("//...").matches(label)
    assert parse_pattern(str(label)).matches(label)
    assert parse_pattern(f"//{label.package}:all").matches(label)
    package = label.package
    while package:
        assert parse_pattern(f"//{package}/...").matches(label)
        assert not parse_pattern(f"//{package}x/...").matches(label)
        package = package.rpartition("/")[0]


def test_exclusions_win_wherever_they_stand() -> None:
    known = [Label("a", "x"), Label("a/b", "y"), Label("ab", "z"), Label("", "r")]
    assert parse_patterns(["-//a/b:y", "//a/..."]).select(known) == [Label("a", "x")]
    assert parse_patterns(["-//a/..."]).select(known) == [Label("", "r"), Label("ab", "z")]
    assert parse_patterns([]).select(known) == sorted(known)


def test_patterns_without_a_match_are_told() -> None:
    patterns = parse_patterns(["//a/...", ":nope", "-//gone:all"])
    assert [str(pattern) for pattern in patterns.unmatched([Label("a", "x")])] == ["//:nope"]
