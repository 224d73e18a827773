"""Documents as YAML: every reader gets back what was written."""

from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from buildrules.authoring.document import render_document

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


@given(VALUES)
@example({"yes": "no", "0755": "1e5", "e": ["null", "~", "", "- a", "a: b", "# c", "1:30", "<<", "=", "a\nb", "\x85"]})
@example([[], {}, [[1, [2]], {"a": [{"b": []}]}], 1e300])
def test_what_is_read_is_what_was_written(value: Any) -> None:
    assert yaml.safe_load(render_document(value)) == value


def test_how_it_looks() -> None:
    text = render_document({"a": [{"b": 1, "c": [2]}, [3, 4], "x y"], "d": {"e": None}})
    assert text == 'a:\n  - b: 1\n    c:\n      - 2\n  - - 3\n    - 4\n  - "x y"\nd:\n  e: null\n'
