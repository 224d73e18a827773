"""Locks of other tools beside a pyproject.toml, and what uv warns of."""

from pathlib import Path

import pytest

from buildrules.errors import LoadError, ResolutionError
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirements import collect
from buildrules.locking.python.resolve import make_lock
from buildrules.net.session import Session

from .conftest import AMD64, Asking, Index, sha256
from .test_projects import lay, static

UV_LOCK = """version = 1
[[package]]
name = "app"
version = "1.0"
source = { virtual = "." }
[[package]]
name = "A.a"
version = "VERSION"
source = { registry = "https://index.example/simple" }
"""
POETRY_LOCK = '[[package]]\nname = "a-a"\nversion = "VERSION"\n[metadata]\nlock-version = "2.0"\n'
PYLOCK = 'lock-version = "1.0"\n[[packages]]\nname = "a-a"\nversion = "VERSION"\n'
LOCKS = [("uv.lock", UV_LOCK), ("poetry.lock", POETRY_LOCK), ("pdm.lock", POETRY_LOCK), ("pylock.toml", PYLOCK)]


def asked(root: Path, **more: object) -> EnvironmentRequest:
    found = collect(str(root), "", pyproject="pyproject.toml", environment=AMD64.environment())
    return EnvironmentRequest(
        "env",
        str(root),
        "",
        AMD64,
        found,
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def aa(feed: Index, root: Path) -> Index:
    for version in ("1.0", "2.0", "3.0"):
        feed.add("a_a", version)
    lay(root, static("app", '"a-a"'))
    return feed


@pytest.mark.parametrize(("name", "text"), LOCKS)
def test_a6_the_versions_of_another_lock_are_preferred(aa: Index, root: Path, name: str, text: str) -> None:
    (root / name).write_text(text.replace("VERSION", "1.0"))
    first = make_lock(asked(root), Session())
    assert first.versions() == {"a-a": "1.0"}
    before = asked(root).digest()
    (root / name).write_text(text.replace("VERSION", "2.0"))
    assert asked(root).digest() != before
    assert make_lock(asked(root), Session(), existing=first).versions() == {"a-a": "2.0"}
    assert make_lock(asked(root), Session(), existing=first, upgrade=["a-a"]).versions() == {"a-a": "3.0"}


OLD, NEW = "python_version < '3.9'", "python_version >= '3.9'"
FORKS = {
    "uv.lock": (
        "version = 1\n",
        "package",
        'source = { registry = "x" }\nresolution-markers = ["MARKER", "os_name == \'x\'"]',
    ),
    "poetry.lock": ('[metadata]\nlock-version = "2.1"\n', "package", 'markers = "MARKER"'),
    "poetry.lock of groups": (
        '[metadata]\nlock-version = "2.1"\n',
        "package",
        'markers = {main = "MARKER", dev = "MARKER"}',
    ),
    "pdm.lock": ('[metadata]\nlock_version = "4.5"\n', "package", 'marker = "MARKER"'),
    "pylock.toml": ('lock-version = "1.0"\n', "packages", 'marker = "MARKER"'),
}


@pytest.mark.parametrize("kind", FORKS)
def test_a6_of_several_versions_that_of_the_image_is_preferred(aa: Index, root: Path, kind: str) -> None:
    top, table, more = FORKS[kind]
    for first, second in ((OLD, NEW), (NEW, OLD)):
        rows = [
            f'[[{table}]]\nname = "a-a"\nversion = "{version}"\n{more.replace("MARKER", marker)}\n'
            for version, marker in (("1.0", first), ("2.0", second))
        ]
        (root / kind.split(maxsplit=1)[0]).write_text(top + "".join(rows))
        found = asked(root).asked
        assert (found.preferences, found.notes) == ({"a-a": "1.0" if first == NEW else "2.0"}, [])
    (root / kind.split(maxsplit=1)[0]).write_text(top + "".join(rows).replace(OLD, NEW))
    found = asked(root).asked
    assert found.preferences == {}
    assert found.notes == [f"{kind.split(maxsplit=1)[0]}: of 'a-a' it has 1.0 and 2.0, so none is preferred"]


def test_a6_what_deviates_is_said(aa: Index, root: Path) -> None:
    (root / "uv.lock").write_text(UV_LOCK.replace("VERSION", "1.0"))
    lay(root, static("app", '"a-a>=2"'))
    said: list[str] = []
    assert make_lock(asked(root), Session(), warn=said.append).versions() == {"a-a": "3.0"}
    assert said == ["a-a 3.0 is locked, and uv.lock has 1.0"]


def test_a6_a_lock_that_cannot_be_read_is_an_error(root: Path) -> None:
    lay(root, static("app"))
    (root / "uv.lock").write_text("[[package")
    with pytest.raises(LoadError, match=r"cannot read 'uv\.lock'"):
        asked(root)


def test_a7_what_uv_warns_of_is_said(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0")
    said: list[str] = []
    make_lock(asking("aa[sock]"), Session(), warn=said.append)
    (text,) = said
    assert "aa" in text and "extra named `sock`" in text
    said.clear()
    make_lock(asking("aa"), Session(), warn=said.append)
    assert said == []


def test_a7_a_yanked_release_is_said(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0")
    feed.yanked = {"aa-1.0-py3-none-any.whl": "it eats files"}
    said: list[str] = []
    make_lock(asking("aa==1.0"), Session(), warn=said.append)
    (text,) = said
    assert "aa==1.0" in text and "yanked" in text and "it eats files" in text


def test_a7_require_hashes(feed: Index, root: Path) -> None:
    digests = {name: sha256(feed.files[feed.add(name, "1.0", requires=needs)]) for name, needs in NEEDS.items()}

    def lock(*lines: str) -> dict[str, str]:
        (root / "r.txt").write_text("\n".join(("--require-hashes", *lines)))
        found = collect(str(root), "", requirements_file="r.txt")
        request = EnvironmentRequest("env", str(root), "", AMD64, found)
        return make_lock(request, Session()).versions()

    lines = [f"{name}==1.0 --hash=sha256:{digest}" for name, digest in digests.items()]
    assert lock(*lines) == {"aa": "1.0", "bb": "1.0"}
    with pytest.raises(ResolutionError, match=r"--require-hashes is given, and bb==1\.0 has no hash") as caught:
        lock(lines[0], "bb==1.0")
    assert str(caught.value.position).startswith("r.txt:3")
    with pytest.raises(ResolutionError, match=r"bb==1\.0 has no hash"):
        lock(lines[0])


NEEDS: dict[str, list[str]] = {"aa": ["bb"], "bb": []}
