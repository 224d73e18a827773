"""Small texts that would fill the memory, one reader after the other: whatever they say, it stays below 300 MiB.

Each reader runs in a process of its own, as the only thing that it does.
"""

import lzma
from functools import partial
from pathlib import Path

import pytest

from buildrules.document.plain_toml import read_toml
from tests.hostile.test_bounds import MOST, SIZE
from tests.support.peak import run_measured

READ = """
import sys
from buildrules.errors import BuildrulesError
{imports}
path = sys.argv[1]
data = open(path, "rb").read()
try:
    {call}
except BuildrulesError as error:
    for one in getattr(error, "errors", None) or [error]:
        print(str(one)[:500])
        break
"""


def much(text: str, *, before: str = "", after: str = "", most: int = SIZE) -> str:
    """A text of nearly `most` characters: `text` again and again, with `#` a number."""
    if "#" not in text:
        return before + text * ((most - len(before) - len(after)) // len(text)) + after
    count = (most - len(before) - len(after)) // (len(text) + 7)
    return before + "".join(text.replace("#", str(number)) for number in range(count)) + after


later = partial(partial, much)  # made by the test that wants it: all would take seconds of every run, and 200 MB


def said_by(tmp_path: Path, imports: str, call: str, text: str | bytes, name: str = "file") -> str:
    """What a reader says of a file; fails where it took too much memory."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert path.stat().st_size <= SIZE
    said, peak = run_measured(READ.format(imports=imports, call=call), str(path))
    assert peak < MOST, said
    return said


TOML = {
    "tables": later("[#]\n"),
    "tables of tables": later("[#.a.a.a]\n"),
    "keys": later("#=[]\n"),
    "dotted keys": later("#.a.a.a=1\n"),
    "one long key": later(".a", before="a", after="=1", most=100_000),
    "maps": later("{a.a.a.a=1},", before="a=[", after="]"),
    "nested": later("[", before="a="),
    "texts that nobody closes": later('"\n'),
    "texts that hide values": later("[],", before='a=["""\'"', after='\'"""]'),
}
"""What `tomllib` takes from ten to two hundred times as much for."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOML)
def test_d7_a_toml_file_stays_small(tmp_path: Path, kind: str) -> None:
    """As our locks, uv.lock, poetry.lock, pylock.toml and pyproject.toml are read."""
    said = said_by(tmp_path, "from buildrules.store.lockfile import read_tables", "read_tables(path)", TOML[kind]())
    assert "the lock 'file' cannot be read: " in said or kind == "texts that hide values"


def test_d7_a_toml_file_of_most_values_stays_small(tmp_path: Path) -> None:
    """What is just taken: of the dearest kind, a kilobyte for each part of a name."""
    text = much("[#.a.a.a]\n", most=600_000)
    assert said_by(tmp_path, "from buildrules.store.lockfile import read_tables", "read_tables(path)", text) == ""


def test_a_large_uv_lock_is_read() -> None:
    """5 MB of 1,400 packages with twenty files each, which is more than is known of."""
    file = '{ url = "https://files.example/packages/a-1.0.0-cp311.whl", hash = "sha256:' + "a" * 64 + '", size = 1 },\n'
    package = '[[package]]\nname = "a#"\nversion = "1.0"\nsource = { registry = "https://a" }\n'
    package += f"wheels = [\n{file * 20}]\n[package.optional-dependencies]\nb = ['c']\n"
    assert len(read_toml(much(package, most=5_000_000))["package"]) > 1400


STANZA = f"Package: a\nVersion: 1\nArchitecture: amd64\nFilename: a\nSize: 1\nSHA256: {'a' * 64}\n"
REQUIREMENTS = """collector = Collector(os.path.dirname(path))
    collector.requirements_file(os.path.basename(path), None)
    collector.finish()"""
CONDA = """collector = Collector(os.path.dirname(path))
    read_conda(collector, os.path.basename(path), None)
    collector.finish()"""
COLLECT = """import os
from buildrules.locking.python.collector import Collector
from buildrules.locking.python.conda_file import read_conda"""
INDEX = "from buildrules.locking.debian.packages import Index"
LOOK = "index = Index(data, 'main'); index.named('a'); index.providing('b')"
ANSWER = """from buildrules.serving.expect import failures
from buildrules.serving.request import Answer"""
COMPARE = "print([str(one)[:200] for one in failures({}, Answer(200, {{}}, {}, 0.0))])"
WITHOUT_TWO = "data.replace(b'1', b'2')"

OTHERS = {
    "requirements": (COLLECT, REQUIREMENTS, later("a==1\n"), "more than 20000 requirements"),
    "bad requirements": (COLLECT, REQUIREMENTS, later("a b#\n"), "more than 1000 errors"),
    "conda packages": (
        COLLECT,
        CONDA,
        later("- a\n", before="dependencies:\n", most=1_160_000),
        "more than 20000 values",
    ),
    "conda's list for pip": (
        COLLECT,
        CONDA,
        later("  - a\n", before="dependencies:\n- pip:\n", most=1_740_000),
        "more than 20000 values",
    ),
    "names of packages": (INDEX, LOOK, later("Package: b#\n"), "more than 300000 packages"),
    "provided names": (INDEX, LOOK, later("c,", before="Package: x\nProvides: "), "provide more than"),
    "dependencies": (INDEX, LOOK, later("c|", before=STANZA + "Depends: "), "bytes of description"),
    "JSON that differs": (
        ANSWER,
        COMPARE.format("{'json': json.loads(data)}", WITHOUT_TWO).replace("print", "import json; print"),
        later('{"a":1},', before="[", after="1]", most=1_900_000),
        "off by 1, relative 1; tolerance none (and 237499 more)",
    ),
    "JSON of many values": (ANSWER, COMPARE.format("{'json': 1}", "data"), later("[],"), "more than"),
    "lines that differ": (
        ANSWER,
        COMPARE.format("{'bytes': data}", WITHOUT_TWO),
        later("1234567890\n"),
        "another text",
    ),
    "many lines": (ANSWER, COMPARE.format("{'bytes': b'a'}", "data"), later("\n"), "more lines than are compared"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_d7_other_texts_stay_small(tmp_path: Path, kind: str) -> None:
    imports, call, text, expected = OTHERS[kind]
    assert expected in said_by(tmp_path, imports, call, text())


def test_d7_an_index_unpacks_to_a_hundred_mebibytes(tmp_path: Path) -> None:
    imports = f"from buildrules.locking.debian.release import unpack\n{INDEX}"
    data = lzma.compress(b"Package: a\n" * 12_000_000, preset=0)
    assert "larger than 100 MiB" in said_by(tmp_path, imports, "Index(unpack(data, 'Packages.xz'), 'main')", data)
