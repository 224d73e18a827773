"""Every parser of what comes from outside, fed with valid files made a little wrong: it reads or refuses them.

`make fuzz` tries 10,000 inputs for each; how much of a parser the inputs reached is printed (`-rP` shows it).
"""

import bz2
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import random
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

from buildrules.actions.models import mlflow_files, sound
from buildrules.azureml import document
from buildrules.azureml.conversion import Options
from buildrules.azureml.convert import convert
from buildrules.document import nodes, reader
from buildrules.document.problems import Problems
from buildrules.engine.action import SourceFile
from buildrules.errors import BuildrulesError
from buildrules.lints import pickles
from buildrules.locking.conda import lock as conda_lock
from buildrules.locking.debian import packages, relations
from buildrules.locking.python import collector as collecting
from buildrules.locking.python import conda_file, other_locks, pyproject, requirement
from buildrules.locking.python.collector import Collector
from buildrules.oci import recipe, source, untar
from buildrules.oci.local import Local
from buildrules.oci.parts import archive, deb, wheel
from buildrules.oci.parts import conda as conda_part
from buildrules.oci.parts import conda_package as conda_info
from buildrules.oci.reader import Reader
from buildrules.state import journal
from buildrules.state import reader as states
from buildrules.store import lockfile, tablelog
from buildrules.store.blobs import Blobs
from buildrules.workspace.disk import Disk
from tests.hostile.test_bounds import deb as package
from tests.hostile.test_odd_values import STANZA
from tests.models.test_sound import WHOLE
from tests.support.conda import PLACEHOLDER, conda_package
from tests.support.handmade import tar_of
from tests.support.mutations import mutated
from tests.support.space import BUILD, TINY
from tests.support.space import wheel as make_wheel

CASES = int(os.environ.get("BUILDRULES_FUZZ_CASES", "300"))
FILES = {"usr/bin/a": b"#!/bin/sh\n", "usr/share/doc/a/copyright": b"free" * 99, "etc/" + "x" * 90: b""}
CONTROL = tar_of({"control": STANZA.encode()})
DIGEST = "sha256:" + "a" * 64

Parse = Callable[[bytes, Path], object]


def _file(folder: Path, data: bytes) -> str:
    path = folder / "file"
    path.write_bytes(data)
    return str(path)


def _yaml(data: bytes, _: Path) -> object:
    problems = Problems()
    node = reader.parse("BUILD.yaml", data, problems, aliases=True)
    if node is not None:
        node.value(problems)
    return problems.raise_all()


def _deb(data: bytes, folder: Path) -> object:
    path = _file(folder, data)
    for entry in deb.read(path, deb.DROP):
        for _ in getattr(entry.content, "make", tuple)():
            pass
    return deb.read_control(path)


def _wheel(data: bytes, folder: Path) -> object:
    blobs = Blobs(str(folder))
    part = recipe.wheel(blobs.put(data), "numlib-1.0-py3-none-any.whl", "opt/env", "3.11")
    return list(wheel.expand(part, Local(blobs)))


def _conda_package(data: bytes, folder: Path) -> object:
    """An archive that is packed soundly: what is damaged else is noticed before anything is read."""
    blobs = Blobs(str(folder))
    part = recipe.conda(blobs.put(bz2.compress(data, 1)), "tool-1.0-0.tar.bz2", "opt/conda", "3.11", [])
    return [list(getattr(entry.content, "make", tuple)()) for entry in conda_part.expand(part, Local(blobs))]


def _conda_seeds() -> list[bytes]:
    files = {"bin/tool": b"\x7fELF\0" + PLACEHOLDER.encode() + b"\0", "a": PLACEHOLDER.encode(), "b": "a"}
    made = [conda_package("tool", "1.0", files, ending=".tar.bz2", old=old)[1] for old in (False, True)]
    pure = {"site-packages/a.py": b"", "python-scripts/b": b""}
    points = {"python": True, "entry_points": ["c = a:b"]}
    made.append(conda_package("tool", "1.0", pure, ending=".tar.bz2", **points)[1])
    return [bz2.decompress(data) for data in made]


def _conda_lock(data: bytes, folder: Path) -> object:
    return conda_lock.read_lock(_file(folder, data))


def _zip(data: bytes, folder: Path) -> object:
    with Reader() as opened:
        return [one.read(opened) for one in archive.members(_file(folder, data), "a.zip")]


def _tar(data: bytes, _: Path) -> object:
    try:
        return [content and content.read() for _, content in untar.entries(io.BytesIO(data))]
    except (untar.tarfile.TarError, ValueError, EOFError) as error:  # as it says
        return error


def _manifest(data: bytes, _: Path) -> object:
    document = source.read_document(data, "", "base")
    return "manifests" in document and source.choose_platform(document["manifests"], "linux/amd64", "base")


def _packages(data: bytes, _: Path) -> object:
    index = packages.Index(data, "main")
    return index.named("a"), index.providing("b"), index.providing("a")


def _state(data: bytes, folder: Path) -> object:
    state = states.open_state(_file(folder, data))
    if state is not None:
        state.close()
    return state


def _requirements(read: Callable[[Collector, str], None], name: str) -> Parse:
    """Reads a file of this name for what it asks for."""

    def parse(data: bytes, folder: Path) -> object:
        (folder / "libs/one").mkdir(parents=True, exist_ok=True)
        (folder / "libs/one/pyproject.toml").write_text('[project]\nname = "one"\nversion = "1"\n')
        for other in ("more.txt", "limits.txt"):
            (folder / other).write_text("a<3\n")
        (folder / name).write_bytes(data)
        collector = Collector(str(folder))
        read(collector, name)
        return collector.finish()

    return parse


def _azure(data: bytes, folder: Path) -> object:
    (folder / "azure.yml").write_bytes(data)
    found = convert([str(folder / "azure.yml")], Options(), None, Disk("/"))
    found.problems.raise_all()
    return found


def _journal(data: bytes, folder: Path) -> object:
    path = str(folder / "state")
    Path(journal.journal_path(path)).write_bytes(data)
    return journal.read_journal(path, 7)


def _recipe(data: bytes, _: Path) -> object:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return recipe.check(value)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _made_wheel() -> bytes:
    return make_wheel("numlib", "1.0")[1]


def _made_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/b.txt", b"text" * 50)
        file.writestr(zipfile.ZipInfo("c"), b"stored")
    return out.getvalue()


def _state_seed() -> bytes:
    from buildrules.state.writer import Base, GroupRow, _pieces

    group = GroupRow(b"a\0b\0", 7, b"record")
    return b"".join(_pieces(b"identity", Base([group], [b"links"], [b"action"], [(1, b"head", b"rest")], (0,))))


def _journal_seed() -> bytes:
    data = journal.JOURNAL + (7).to_bytes(8, "little")
    total = zlib.crc32(data)
    for number in range(3):
        entry = marshal.dumps(
            ({number: (1, b"a", b"record", ())}, {1: b"action"}, ((1,), ()), (1,), (5, (1,)), {0: "a"})
        )
        total = zlib.crc32(entry, total)
        data += len(entry).to_bytes(4, "little") + total.to_bytes(4, "little") + entry
    return data


UV_LOCK = """\
version = 1
[[package]]
name = "a"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example/a-1.0-py3-none-any.whl", hash = "sha256:aa" }]
[[package]]
name = "own"
source = { virtual = "." }
[package.optional-dependencies]
b = [{ name = "a", marker = "python_version < '3.11'" }]
"""
PYLOCK = """\
lock-version = "1.0"
[[packages]]
name = "a"
version = "1.0"
wheels = [{name = "a-1.0-py3-none-any.whl", upload-time = 2025-01-01T00:00:00Z, hashes = {sha256 = "aa"}}]
[[packages]]
name = "b"
directory = {path = "."}
"""
POETRY_LOCK = """\
[[package]]
name = "a"
version = "1.0"
files = [{file = "a-1.0.tar.gz", hash = "sha256:aa"}]
[package.source]
type = "legacy"
url = "https://a"
[metadata]
lock-version = "2.0"
"""
PYPROJECT = """\
[project]
name = "own"
version = "1"
requires-python = ">=3.9,<4"
dependencies = ["a>=1", "b[c]==1.0; python_version < '3.12'"]
[project.optional-dependencies]
more = ["own[less]", "d"]
less = ["e~=1.0"]
[dependency-groups]
dev = ["f", {include-group = "test"}]
test = ["g"]
[tool.uv.sources]
a = { path = "libs/one" }
[tool.poetry.dependencies]
python = "^3.9"
"""
CONDA = """\
name: env
channels: [conda-forge]
dependencies:
- python=3.11
- conda-forge::numpy=1.26.*=py311h
- pandas[version='>=2,<3']
- scikit-learn ==1.5.0
- "libgomp"
- pip=24.0
- pip:
  - -r more.txt
  - torch==2.1.0+cpu ; sys_platform == "linux"
"""
REQUIREMENTS = b"""\
# of a service
-c limits.txt
--require-hashes
numpy==1.26.4 --hash=sha256:aa \\
    --hash=sha256:bb  # pinned
a[b]>=1.0,<2; python_version < "3.12"
-e ./libs/one
b @ https://example.org/b-1.0-py3-none-any.whl
"""
MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    python_version: 3.11.2
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.5.0}
mlflow_version: 2.14.1
signature: {inputs: '[{"type": "double"}]'}
"""
AZURE = [
    """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: flowers
model: {path: model, type: custom_model}
code_configuration: {code: src, scoring_script: score.py}
environment: {conda_file: conda.yaml, image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest}
instance_type: Standard_DS3_v2
instance_count: 1
request_settings: {request_timeout_ms: 3000}
environment_variables: {A: b}
""",
    """\
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: env
conda_file: {dependencies: [python=3.11, pip, {pip: [numpy==1.26.4]}]}
image: python:3.11
inference_config: {liveness_route: {port: 8080, path: /}}
""",
    """\
$schema: https://azuremlschemas.azureedge.net/latest/model.schema.json
name: m
version: 1
path: model
type: mlflow_model
""",
    """\
name: feed
type: python_feed
target: https://pkgs.dev.azure.com/org/_packaging/feed/pypi/simple
credentials: {type: pat, pat: "${{PAT}}"}
""",
]


MANIFEST = {"schemaVersion": 2, "config": {"digest": DIGEST, "size": 3}, "layers": [{"digest": DIGEST, "size": 9}]}
INDEX = {
    "schemaVersion": 2,
    "manifests": [{"digest": DIGEST, "size": 3, "platform": {"os": "linux", "architecture": "amd64"}}],
}
PARTS = [
    recipe.directory("a"),
    recipe.symlink("b", "a"),
    recipe.inline("c", "text"),
    recipe.file("d", DIGEST, 9),
    recipe.file("e", DIGEST, 9, as_layer=True),
    recipe.wheel(DIGEST, "a-1-py3-none-any.whl", "opt", "3.11"),
    {"kind": "deb", "digest": DIGEST, "drop": ["usr/share/doc"]},
    recipe.conda(DIGEST, "a-1-0.conda", "opt", "3.11", ["a"]),
]
CONDA_LOCK = f"""\
version = 1
platform = "linux/amd64"
glibc = "2.36"
python = "3.12.7"
inputs = "sha256:{"a" * 64}"
[[packages]]
name = "a"
version = "1.0"
build = "0"
url = "https://conda.example/c/linux-64/a-1.0-0.conda"
sha256 = "{"a" * 64}"
size = 9
noarch = false
license = "MIT"
distribution = "a"
"""
LOCK = f'version = 1\n[[packages]]\nname = "a"\nversion = "1.0"\nhashes = {{sha256 = "{"a" * 64}"}}\n'


def _weights(data: bytes, folder: Path) -> None:
    """A model of one file, whose name stands before its content."""
    name, _, content = data.partition(b"\0")
    path = folder / "weights"
    path.write_bytes(content)
    ending = os.path.splitext(name.decode("latin-1"))[1] or ".bin"
    file = SourceFile("", f"m{ending}", len(content), 0o644, DIGEST)
    sound.check_sound([file], Local(Blobs(str(folder)), {DIGEST: str(path)}), "model")


PARSERS: dict[str, tuple[ModuleType, Parse, list[bytes]]] = {
    "yaml": (reader, _yaml, [BUILD.encode(), TINY.encode(), b"a: &x [1, 1.5, true, ~]\nb: *x\nc: {<<: {d: 'e'}}\n"]),
    "nodes": (nodes, _yaml, [BUILD.encode(), b"a: [0755, yes, 1_0, 1:30, .inf, 0x1, -0, +1, null]\n"]),
    "deb": (
        deb,
        _deb,
        [
            package(tar_of(FILES), "").replace(b"\0" * 1024 + b"data.tar", CONTROL[:1024] + b"data.tar"),
            package(gzip.compress(tar_of(FILES), mtime=0), ".gz"),
            package(lzma.compress(tar_of(FILES)), ".xz"),
        ],
    ),
    "wheel": (wheel, _wheel, [_made_wheel()]),
    "conda package": (conda_part, _conda_package, _conda_seeds()),
    "about a conda package": (conda_info, _conda_package, _conda_seeds()),
    "conda lock": (conda_lock, _conda_lock, [CONDA_LOCK.encode()]),
    "zip": (archive, _zip, [_made_zip(), _made_wheel()]),
    "tar": (untar, _tar, [tar_of(FILES)]),
    "manifest": (
        source,
        _manifest,
        [json.dumps(one).encode() for one in (MANIFEST, INDEX)],
    ),
    "config": (
        source,
        lambda data, _: source.check_platform(data, "linux/amd64", "base"),
        [b'{"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}'],
    ),
    "packages": (packages, _packages, [f"{STANZA}Provides: b (= 1), c\nConflicts: d | e\n\n{STANZA}".encode()]),
    "relations": (relations, lambda data, _: relations.parse(_text(data)), [b"a (>= 1.0~rc1-2) | b:any, c"]),
    "requirement": (
        requirement,
        lambda data, _: requirement.parse(_text(data), "/nowhere", ""),
        [b"a[b,c]>=1.0,<2; python_version < '3.11'", b"a @ https://example.org/a-1.0-py3-none-any.whl", b"./libs/a"],
    ),
    "recipe": (recipe, _recipe, [json.dumps(one).encode() for one in (recipe.tar(PARTS), recipe.gzip(PARTS, 6))]),
    "conda": (
        conda_file,
        _requirements(lambda collector, name: conda_file.read_conda(collector, name, None), "conda.yaml"),
        [CONDA.encode(), *(line.encode() + b"\n" for line in ("dependencies: [python=3.9]", "dependencies: {}"))],
    ),
    "requirements": (
        collecting,
        _requirements(lambda collector, name: collector.requirements_file(name, None), "requirements.txt"),
        [REQUIREMENTS, REQUIREMENTS.decode().encode("utf-16")],
    ),
    "pyproject": (
        pyproject,
        _requirements(
            lambda collector, name: pyproject.read_pyproject(collector, name, ["more"], ["dev"], None), "pyproject.toml"
        ),
        [PYPROJECT.encode()],
    ),
    **{
        name: (
            other_locks,
            _requirements(lambda collector, _: other_locks.read_other_lock(collector, [""]), name),
            [text.encode()],
        )
        for name, text in (("uv.lock", UV_LOCK), ("pylock.toml", PYLOCK), ("poetry.lock", POETRY_LOCK))
    },
    "MLmodel": (mlflow_files, lambda data, _: mlflow_files.read_mark("MLmodel", _text(data)), [MLMODEL.encode()]),
    "azure": (document, _azure, [text.encode() for text in AZURE]),
    "journal": (journal, _journal, [_journal_seed()]),
    "state": (states, _state, [_state_seed()]),
    "table log": (
        tablelog,
        lambda data, _: tablelog._entries(data),
        [tablelog._entry(b"key", b"value" * 20) + tablelog._entry(b"other", b"")],
    ),
    "lock": (lockfile, lambda data, folder: lockfile.read_tables(_file(folder, data)), [LOCK.encode()]),
    "weights": (sound, _weights, [name.encode() + b"\0" + content for name, content in sorted(WHOLE.items())]),
    "pickle": (
        pickles,
        lambda data, _: pickles.read_pickle(io.BytesIO(data), len(data)),
        [pickle.dumps([1, "a", b"b", {"_sklearn_version": "1.7.0"}, Path("a")], protocol) for protocol in (2, 4, 5)],
    ),
}  # fmt: skip


class Reached:
    """The lines of a module that ran, of those of the functions that were entered."""

    def __init__(self, module: ModuleType) -> None:
        self.file = str(module.__file__)
        self.lines: set[int] = set()
        with open(self.file) as file:
            self.functions = list(_functions(compile(file.read(), self.file, "exec")))

    def trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename != self.file:
            return None
        self.lines.add(frame.f_lineno)
        return self.trace

    @property
    def share(self) -> float:
        entered = set().union(*(lines for lines in self.functions if not self.lines.isdisjoint(lines)))
        return len(self.lines & entered) / len(entered)


def _functions(code: CodeType) -> Iterator[set[int]]:
    """The lines of each function in some code."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield {line for _, _, line in inner.co_lines() if line and line != inner.co_firstlineno}
            yield from _functions(inner)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_d6_a_parser_reads_what_is_nearly_right_or_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    module, parse, seeds = PARSERS[name]
    reached, before = Reached(module), sys.gettrace()
    refused = 0
    for case in range(CASES):
        chooser = random.Random(f"{name} {case}")
        data = seeds[case] if case < len(seeds) else mutated(chooser.choice(seeds), seeds, chooser)
        sys.settrace(reached.trace if case < 300 else before)
        try:
            parse(data, tmp_path)
        except BuildrulesError as error:
            assert error.message
            refused += 1
        except Exception as error:
            raise AssertionError(f"case {case}: {data[:2000]!r}") from error
        finally:
            sys.settrace(before)
    print(f"{name}: {CASES} inputs, {refused} refused, {reached.share:.0%} of the lines of its functions reached")
    assert reached.share > 0.6
