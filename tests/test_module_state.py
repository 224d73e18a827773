"""No state of a module changes at run time: two workspaces, or a watch, can live in one process."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "buildrules"
CHANGES = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "setdefault",
        "sort",
        "update",
    ]
)
CACHES = frozenset(("cache", "lru_cache", "cached"))

ALLOWED = {
    "actions/models/start.py:_files": "the fetcher's own source files",
    "actions/python/target.py:_tags": "a pure function of a platform and a version",
    "actions/python/uvtool.py:_find": "which Pythons this machine has",
    "actions/python/uvtool.py:builder_for": "which Pythons this machine has",
    "actions/python/uvtool.py:uv_binary": "where this machine has uv",
    "actions/registry.py:_registered": "kinds of plugins are code: a module is imported once in a process",
    "locking/debian/versions.py:key": "a pure function of a short text, asked a million times",
    "locking/python/conda.py:_table": "a table of the package itself",
    "oci/parts/__init__.py:_loaded": "kinds of parts are code, imported when one is met",
    "rules/catalogue.py:_builtins": "files of the package itself",
    "start/secret.py:_known": "what was read once is never shown again, by whatever is said in this process",
    "start/secret.py:_pieces": "as above",
    "start/secret.py:_wanted": "as above",
}
"""What may change, and why nothing of one workspace reaches another by it."""


def changed(text: str) -> Iterator[str]:
    """The names of a module that its code changes, and its functions that remember what they gave."""
    tree = ast.parse(text)
    names = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
        if any(CACHES.intersection(_words(decorator)) for decorator in decorators):
            yield node.name  # type: ignore[attr-defined]
    inside = [node for body in tree.body if isinstance(body, ast.FunctionDef | ast.ClassDef) for node in ast.walk(body)]
    for node in inside:
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            yield from names.intersection(_words(node.func.value)[:1])
        elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield from names.intersection(_words(node.value)[:1])


def _words(node: ast.expr) -> list[str]:
    return [
        found.id if isinstance(found, ast.Name) else found.attr
        for found in ast.walk(node)
        if isinstance(found, ast.Name | ast.Attribute)
    ]


def test_modules_hold_nothing_that_changes() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}:{name}" for path in PACKAGE.rglob("*.py") for name in changed(path.read_text())
    }
    assert sorted(found - ALLOWED.keys()) == [], "let a session own it"
    assert sorted(ALLOWED.keys() - found) == [], "it is gone: take it out of the list"


@pytest.mark.parametrize(
    "code",
    [
        "known = {}\ndef f(x):\n    known[x] = 1",
        "known = {}\nclass A:\n    def f(self, x):\n        del known[x]",
        "known: set[str] = set()\ndef f(x):\n    known.add(x)",
        "known = None\ndef f(x):\n    global known\n    known = x",
        "known = []\ndef f(x):\n    known[0] += x",
        "@functools.lru_cache(maxsize=3)\ndef known(x): ...",
        "state = Thing()\ndef known(x): ...\ndef f(x):\n    state.value = x",
    ],
)
def test_what_is_found(code: str) -> None:
    assert set(changed(code)) in ({"known"}, {"state"})


def test_what_is_no_state() -> None:
    assert set(changed("names = {}\nnames['a'] = 1\ndef f(x):\n    own = {}\n    own[x] = names[x]")) == set()
