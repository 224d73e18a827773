"""The usual form of a BUILD.yaml: what it looks like, and that nothing is lost on the way to it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildrules.authoring.form import usual_form
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError

ROOT = Path(__file__).parents[2]

WRITTEN = """\
# the workspace
workspace:   {name: acme,platforms: [ linux/amd64 ]}


targets:

    # the model
    m:
        # where it lies
        path: weights      # by LFS
        name: 'main'

        rule: model
    code: {srcs: ["src/**"], rule: scoring_code,
           entry_script: score.py}
    app:
        rule: model_package
        environment:
        - A   # a comment inside

        # of the second
        -   name: B
            value: |
                  two
                   lines

            # at the end of B
        # at the end of the package
    # at the end of the targets
# at the end
"""
FORM = """\
# the workspace
workspace: {name: acme, platforms: [linux/amd64]}

targets:
  # the model
  m:
    rule: model
    # where it lies
    path: weights      # by LFS
    name: 'main'
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  app:
    rule: model_package
    environment:
      - A   # a comment inside

      # of the second
      - name: B
        value: |
          two
           lines

        # at the end of B
    # at the end of the package
  # at the end of the targets
# at the end
"""


def test_what_it_looks_like() -> None:
    assert usual_form("BUILD.yaml", WRITTEN) == FORM
    assert usual_form("BUILD.yaml", FORM) == FORM


def test_what_is_too_long_for_a_line_is_taken_apart() -> None:
    names = [f"requirement-number-{number}==1.0" for number in range(8)]
    text = f"targets:\n  env: {{rule: python_env, base: //:base, requirements: [{', '.join(names)}]}} # why\n"
    assert usual_form("BUILD.yaml", text).splitlines() == [
        "targets:",
        "  env: # why",
        "    rule: python_env",
        "    base: //:base",
        "    requirements:",
        *(f"      - {name}" for name in names),
    ]


@pytest.mark.parametrize("text", ["a: |+\n  x\n\n\n\n", "t:\n  a: |+\n    x\n\n\nb: 1\n", "a: >+\n", "a: |+\n\n\n"])
def test_the_end_of_a_text_that_keeps_it_is_kept(text: str) -> None:
    assert usual_form("BUILD.yaml", text) == text


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"])
def test_a_break_that_only_some_programs_see_is_an_error(char: str) -> None:
    with pytest.raises(LoadError, match="only some programs") as caught:
        usual_form("BUILD.yaml", f'a: 1\nb: "x{char}y"\n')
    assert str(caught.value.errors[0].position) == "BUILD.yaml:2:1"
    assert f"\\u{ord(char):04x}" in str(caught.value.errors[0].hint)


@pytest.mark.parametrize("text", ["targets: {\n", "a: 1\na: 2\n", "a: *b\n", "\tx: 1\n"])
def test_what_cannot_be_read_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(LoadError) as caught:
        usual_form("BUILD.yaml", text)
    assert str(caught.value.errors[0].position).startswith("BUILD.yaml:")


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "---\ntargets: {}\n", "a:\n", "\ufefftargets: {}\r\n"])
def test_little_is_kept(text: str) -> None:
    made = usual_form("BUILD.yaml", text)
    assert usual_form("BUILD.yaml", made) == made
    assert "\r" not in made


def test_the_files_of_this_repository_are_in_it() -> None:
    files = [ROOT / "BUILD.yaml", *(ROOT / "examples").rglob("BUILD.yaml")]
    assert len(files) > 3
    for file in files:
        text = file.read_text()
        assert usual_form(str(file), text) == text


words = st.from_regex(r"[a-z][a-z0-9_./-]{0,12}", fullmatch=True)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(" #:,[]{}'\"|>-&"), max_size=30
)
notes = st.from_regex(r"# ?[a-z:{}'\"#-]{0,12}[a-z]", fullmatch=True)


@st.composite
def scalars(draw: Callable[..., Any], *, flow: bool) -> list[str]:
    """A scalar as lines; those after the first stand for themselves, to be indented."""
    kind = draw(st.integers(0, 5 if flow else 8))
    if kind < 3:
        return [draw(words)]
    if kind == 3:
        return [json.dumps(draw(texts), ensure_ascii=False)]
    if kind == 4:
        return ["'" + draw(texts).replace("'", "''") + "'"]
    if kind == 5:
        return [str(draw(st.integers()))]
    if kind == 6:
        return ['"one', "", 'and # two"']
    lines = draw(st.lists(st.sampled_from(["", "a", " b # c", "  d: e", "\tf"]), max_size=4))
    header = draw(st.sampled_from(["|", ">", "|-", ">+", "|+"])) + draw(st.sampled_from(["", " # of the block"]))
    return [header, *(lines if not lines or lines[0].strip() == lines[0] else ["first", *lines])]


@st.composite
def flows(draw: Callable[..., Any], depth: int) -> str:
    """A value in one line."""
    kind = draw(st.integers(0, 2 if depth else 0))
    if kind == 0:
        return str(draw(scalars(flow=True))[0])
    items = draw(st.lists(flows(depth - 1), max_size=4))
    comma = draw(st.sampled_from([",", ", ", " , "]))
    if kind == 1:
        return f"[{comma.join(items)}]"
    return "{" + comma.join(f"k{at}: {item}" for at, item in enumerate(items)) + "}"


@st.composite
def blocks(draw: Callable[..., Any], depth: int, indent: int) -> list[str]:
    """A map or a list as lines, at `indent`, with comments and blank lines wherever they may stand."""
    made: list[str] = []
    listed = draw(st.booleans()) and indent > 0
    names = draw(st.permutations(["rule", "b", '"c d"', "e"]))[: draw(st.integers(1, 4))]
    for name in names:
        for _ in range(draw(st.integers(0, 2))):
            made.append(draw(st.sampled_from(["", "  "])) if draw(st.booleans()) else " " * indent + draw(notes))
        head = " " * indent + ("-" if listed else f"{name}:")
        note = draw(st.sampled_from(["", " "])) and f"  {draw(notes)}"
        kind = draw(st.integers(0, 2 if depth else 1))
        if kind == 0:
            first, *rest = draw(scalars(flow=False))
            inner = " " * (indent + draw(st.integers(1, 5)))
            several = bool(rest) or first[0] in "|>"
            made += [f"{head} {first}{'' if several else note}", *(inner + line if line else "" for line in rest)]
        elif kind == 1:
            made.append(f"{head} {draw(flows(2))}{note}")
        else:
            made += [head + note, *draw(blocks(depth - 1, indent + draw(st.integers(1, 5))))]
    if draw(st.booleans()):
        made.append(" " * indent + draw(notes))
    return made


def _comments(text: str) -> list[str]:
    """The generated comments: nothing else of these texts is one word behind a '#' at the end of a line."""
    return sorted(re.findall(r"# ?[a-z:{}'\"#-]{0,12}[a-z]$", text, re.MULTILINE))


@settings(max_examples=100)
@given(lines=blocks(3, 0))
def test_nothing_is_lost_and_the_form_of_a_form_is_itself(lines: list[str]) -> None:
    text = "targets:\n  t:\n" + "\n".join("    " + line if line.strip() else line for line in lines) + "\n"
    problems = Problems()
    parse("BUILD.yaml", text.encode(), problems)
    if len(problems):
        return
    made = usual_form("BUILD.yaml", text)  # which compares what both say itself
    assert usual_form("BUILD.yaml", made) == made
    assert _comments(made) == _comments(text)
    assert "\n\n\n" not in re.sub(r"[|>]\+?.*\n(?:\n|    .*\n)*", "", made)
