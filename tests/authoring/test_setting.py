"""A value is added to a setting, and all else stays as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.authoring.setting import with_listed
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import BuildrulesError

NAMES = ("workspace", "cache", "public_keys")
NEW = "keys/ci.pub"

BLOCKS = "workspace:\n  name: a\n  cache:\n    public_keys:\n    - k.pub # old\n    - l.pub\n    upload: never\n"
WRITTEN = {
    "nothing of it": "workspace:\n  name: a  # mine\n  platforms: []\n\n# below\ntargets:\n  b: {rule: model}\n",
    "in one line": "workspace: {name: a}\ntargets: {}\n",
    "in one line, with a list": "workspace: {name: a, cache: {remote: 'http://c', public_keys: [k.pub, l.pub]}}\n",
    "an empty list": "workspace:\n  name: a\n  cache:\n    public_keys: []\n    upload: never\n",
    "a list in blocks": BLOCKS,
    "a list in blocks, last": "workspace:\n  cache:\n      public_keys:\n        - k.pub",
    "an empty key": "workspace:\n  name: a\n  cache:\n    public_keys:  # none yet\n    upload: never\ntargets: {}\n",
    "an empty section": "workspace:\n  cache:\n  name: a\n",
    "a section": "workspace:\n    cache:\n        remote: http://c\n        # and more\n\n    name: a\ntargets: {}\n",
    "over several lines": "workspace:\n  cache: {\n    upload: never,\n    public_keys: [\n      k.pub\n    ]}\n",
    "a text of several lines": "workspace:\n  name: a\n  cache:\n    upload:\n      never\n\ntargets: {}\n",
    "other line ends": "workspace:\r\n  name: a\r\n  cache:\r\n    upload: never\r\ntargets: {}\r\n",
}


def value(node: Node | None) -> object:
    if node is None or node.kind == "scalar":
        return None if node is None or node.is_null else node.text
    return (
        [value(item) for item in node.items] if node.kind == "list" else {k: value(v) for k, v in node.entries.items()}
    )


def read(text: str) -> dict[str, dict[str, object]]:
    problems = Problems()
    found = value(parse("BUILD.yaml", text.encode(), problems))
    problems.raise_all()
    assert isinstance(found, dict)
    return found


def check(text: str, added: str) -> None:
    before, after = read(text), read(added)
    cache = after["workspace"]["cache"]
    assert isinstance(cache, dict)
    keys = cache.pop("public_keys")
    old = before["workspace"].pop("cache", None) or {}
    assert isinstance(old, dict)
    assert sorted(keys) == sorted([*(old.pop("public_keys", None) or []), NEW])
    assert after["workspace"].pop("cache") == old
    assert after == before
    kept = iter(added)
    assert all(letter in kept for letter in text), "what stood there was touched"


@pytest.mark.parametrize("case", WRITTEN)
def test_the_value_is_in_the_list_and_all_else_as_it_was(case: str) -> None:
    added = with_listed(WRITTEN[case], "BUILD.yaml", NAMES, NEW)
    check(WRITTEN[case], added)
    assert with_listed(added, "BUILD.yaml", NAMES, NEW) == added


def test_it_looks_as_people_write() -> None:
    assert with_listed("workspace:\n  name: a\n\ntargets: {}\n", "BUILD.yaml", NAMES, NEW) == (
        "workspace:\n  name: a\n  cache:\n    public_keys: [keys/ci.pub]\n\ntargets: {}\n"
    )
    assert with_listed(BLOCKS, "BUILD.yaml", NAMES, NEW) == BLOCKS.replace(
        "    - l.pub\n", "    - l.pub\n    - keys/ci.pub\n"
    )


@pytest.mark.parametrize("text", [
    "", "- a\n", "workspace: a\n", "workspace:\n  cache: [a]\n", "workspace:\n  cache:\n    public_keys: a\n",
    "workspace:\n  cache:\n    public_keys: {a: b}\n", "workspace: {cache: {public_keys: null}}\n", "a: [\n",
    "workspace:\n  cache: null\n  name: a\n",
])  # fmt: skip
def test_what_cannot_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(BuildrulesError):
        with_listed(text, "BUILD.yaml", NAMES, NEW)


LINES = st.sampled_from(["    upload: never\n", "\n", "# a comment\n", "      # deep\n", "    namespace: main\n"])


@given(
    before=st.lists(LINES, max_size=4, unique=True), after=st.lists(LINES, max_size=4, unique=True), flow=st.booleans()
)
def test_wherever_comments_and_empty_lines_stand(before: list[str], after: list[str], flow: bool) -> None:
    keys = "    public_keys: [k.pub]\n" if flow else "    public_keys:\n      - k.pub\n"
    rest = [line for line in after if line not in before or ":" not in line]
    text = "workspace:\n  name: a\n  cache:\n" + "".join(before) + keys + "".join(rest) + "  plugins: []\n"
    check(text, with_listed(text, "BUILD.yaml", NAMES, NEW))
