"""Whatever happens to the files of a workspace, in whatever order and at whatever moment: cached equals clean.

Every command of a history must say what an empty store says of the same files, and fail where that fails. (One target
may go on where another package is broken, see `test_commands`; no change here breaks a package that way.) The clock
that the program sees is moved on, so that rows are trusted at once; the files keep their real times, some milliseconds
apart.
`BUILDRULES_TEST_CASES` says how many histories the quick test has; `make histories` runs ten thousand.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from buildrules import prepared
from buildrules.cli import again
from buildrules.cli.carried import Carried
from buildrules.cli.looked_at import Search
from buildrules.engine.action import SourceFile, SourceSet
from buildrules.engine.build import Build
from buildrules.engine.sources import SourceReader
from buildrules.state.reader import State
from tests.support.space import Space, make_base

CASES = int(os.environ.get("BUILDRULES_TEST_CASES", "10"))
MORE = 120

ROOT = """\
workspace: {name: acme, platforms: [linux/amd64]}
targets:
  base: {rule: oci_base, layout: base}
  server: {rule: //rules:plain}
"""
RULE = """\
rule: plain
provides: server
summary: Runs a script.
attributes:
  port: {type: integer, default: 8080, doc: Port.}
requires: {code: always, model: optional}
layout: {model: /m, code: /c}
image: {entrypoint: [python3, /c/score.py], ports: ["{port}"]}
routes: {scoring: "{port}/x"}
"""
ONE = """\
targets:
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  m: {rule: model, path: weights}
  app: {rule: model_package, model: ":m", base_env: //:base, server: //:server, code: ":code"}
"""
TWO = """\
targets:
  code: {rule: scoring_code, srcs: ["src/*.py", "src/conf/**"], exclude: ["src/skip*"], entry_script: score.py}
  app: {rule: model_package, base_env: //:base, server: //:server, code: ":code"}
  same: {rule: model_package, base_env: //:base, server: //:server, code: "//one:code"}
"""
FILES = {
    "BUILD.yaml": ROOT,
    "rules/plain.yaml": RULE,
    "one/BUILD.yaml": ONE,
    "one/src/score.py": "one\n",
    "one/src/deep/x.py": "deep\n",
    "one/weights/w.bin": "weights\n",
    "two/BUILD.yaml": TWO,
    "two/src/score.py": "two\n",
}
FOLDERS = ["one/src", "one/src/deep", "one/weights", "two/src", "two/src/conf", "two"]
PATHS = [f"{folder}/{name}" for folder in FOLDERS for name in ("x.py", "score.py", "skip.py")]
PATTERNS = [("//...",), ("//one:app",), ("//two:app",), ("//two:same", "//one:app"), ("//two/...",)]

Change = Callable[[Space], object]
patient = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failing history shorter takes minutes
)


def _write(path: str, content: str, mode: int) -> Change:
    def change(space: Space) -> None:
        if not space.path(path).is_dir():
            space.write(path, content)
            space.path(path).chmod(mode)

    return _guarded(change)


def _guarded(change: Change) -> Change:
    """A change that is left out where it makes no sense, such as a file below a file."""

    def guarded(space: Space) -> None:
        with contextlib.suppress(OSError):
            change(space)

    return guarded


def _save(path: str, content: str) -> Change:
    return _guarded(lambda space: space.rename_over(path, content))


def _save_again(path: str) -> Change:
    return _guarded(lambda space: space.rename_over(path, space.path(path).read_text()))


def _remove(path: str) -> Change:
    return _guarded(lambda space: space.path(path).unlink())


def _remove_tree(path: str) -> Change:
    return _guarded(lambda space: shutil.rmtree(space.path(path)))


def _rename(path: str, to: str) -> Change:
    return _guarded(lambda space: space.path(path).rename(space.path(to)))


def _same_size_and_time(path: str) -> Change:
    """As `cp -p` or `touch -r` after an edit: only the change time tells."""

    def change(space: Space) -> None:
        before = space.path(path).stat()
        data = space.path(path).read_bytes()
        space.path(path).write_bytes(data.swapcase())
        os.utime(space.path(path), ns=(before.st_atime_ns, before.st_mtime_ns))

    return _guarded(change)


def _old(path: str) -> Change:
    return _guarded(lambda space: os.utime(space.path(path), (1, 1)))


def _link(folder: str, to: str) -> Change:
    """Put a link in the place of a folder, or the folder back in the place of the link."""

    def change(space: Space) -> None:
        place, kept = space.path(folder), space.path(f"kept-{folder.replace('/', '-')}")
        if place.is_symlink():
            place.unlink()
            kept.rename(place)
        else:
            place.rename(kept)
            place.symlink_to(space.path(to))

    return _guarded(change)


def _folder(path: str) -> Change:
    return _guarded(lambda space: space.path(path).mkdir(parents=True))


def _either(path: str, one: str, other: str) -> Change:
    def change(space: Space) -> None:
        text = space.path(path).read_text()
        space.write(path, text.replace(one, other) if one in text else text.replace(other, one))

    return _guarded(change)


paths = st.sampled_from([*PATHS, "one/src/score.py", "two/src/score.py"])
folders = st.sampled_from(FOLDERS)
contents = st.sampled_from(["one\n", "two\n", "ONE\n", "longer\n" * 9])
changes = st.one_of(
    st.builds(_write, paths, contents, st.sampled_from([0o644, 0o755])),
    st.builds(_save, paths, contents),
    st.builds(_save_again, paths),
    st.builds(_remove, paths),
    st.builds(_same_size_and_time, paths),
    st.builds(_old, paths),
    st.builds(_rename, paths, paths),
    st.builds(_rename, folders, folders),
    st.builds(_remove_tree, folders),
    st.builds(_folder, st.sampled_from(["one/src/new", "two/src/conf", "three", "one/src/deep/er"])),
    st.builds(_link, folders, folders),
    st.sampled_from(
        [
            _either("one/BUILD.yaml", 'srcs: ["src/**"]', 'srcs: ["src/*"]'),
            _either("two/BUILD.yaml", "src/skip*", "src/none*"),
            _either("BUILD.yaml", "rule: //rules:plain", "rule: //rules:plain, port: 9"),
            _either("rules/plain.yaml", "default: 8080", "default: 80"),
            _either("two/BUILD.yaml", "entry_script: score.py", "entry_script: none.py"),
            _write("one/src/deep/BUILD.yaml", "targets: {}\n", 0o644),
            _write("three/BUILD.yaml", ONE.replace(", entry_script: score.py", ", entry_script: x.py"), 0o644),
            _remove("one/src/deep/BUILD.yaml"),
            _remove("three/BUILD.yaml"),
            _save_again("two/BUILD.yaml"),
        ]
    ),
)
commands = st.tuples(
    st.sampled_from(PATTERNS),
    st.sampled_from(["alone", "alone", "alone", "edited meanwhile", "two at once"]),
    st.sampled_from([5, 5, 5, 0, -3600]),  # seconds that the clock is ahead of the files'
)
histories = st.lists(st.tuples(st.lists(changes, min_size=0, max_size=3), commands), min_size=2, max_size=7)


def _made(folder: Path) -> Space:
    """A workspace of FILES that was not built yet."""
    space = Space(folder, folder / "wheels")
    for path, text in FILES.items():
        space.write(path, text)
    make_base(space.root / "base")
    return space


class Clean:
    """What an empty store says of a workspace; of the same files it is asked once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, dict[str, str]]] = {}

    def build(self, space: Space, patterns: tuple[str, ...]) -> tuple[int, dict[str, str]]:
        mark = hashlib.sha256(repr(patterns).encode())
        for path in sorted(space.root.rglob("*")):
            link = os.readlink(path) if path.is_symlink() else ""
            content = path.read_bytes() if path.is_file() else None
            mark.update(repr((str(path.relative_to(space.root)), link, content, path.lstat().st_mode)).encode())
        key = mark.hexdigest().replace(str(space.root), "")
        if key not in self._known:
            store = space.folder / "clean"
            self._known[key] = _built(space, patterns, BUILDRULES_CACHE_DIR=str(store))
            shutil.rmtree(store, ignore_errors=True)
        return self._known[key]


def _built(space: Space, patterns: tuple[str, ...], **env: str) -> tuple[int, dict[str, str]]:
    """(exit code, digests by label) of `build --json`."""
    result = space.run("build", *patterns, "--json", code=None, env=env)
    targets = json.loads(result.out)["targets"] if result.code == 0 else []
    return result.code, {target["label"]: target["digest"] for target in targets}


CLEAN = Clean()
_TICK = 0.012  # more than a tick of the clock that stamps files


History = list[tuple[list[Change], tuple[tuple[str, ...], str, int]]]


@given(history=histories)
@settings(patient, max_examples=CASES)
def test_cached_equals_clean(history: History) -> None:
    follow(history)


@pytest.mark.slow
@given(history=histories)
@settings(patient, max_examples=MORE)
def test_cached_equals_clean_more_often(history: History) -> None:
    follow(history)


def follow(history: History) -> None:
    """Make the changes of each step, run its command, and hold the next against an empty store."""
    real = time.time_ns
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        space = _made(Path(folder))
        assert CLEAN.build(space, PATTERNS[0])[0] == 0
        for edits, (patterns, manner, ahead) in history:
            patch.setattr(time, "time_ns", lambda ahead=ahead: real() + ahead * 1_000_000_000)
            for edit in edits:
                edit(space)
            time.sleep(_TICK)
            if manner == "edited meanwhile":
                _edited_meanwhile(space, patterns)
            elif manner == "two at once":
                _two_at_once(space, patterns)
            expected = CLEAN.build(space, patterns)
            assert _built(space, patterns) == expected
            time.sleep(_TICK)
        space.sound()


@pytest.mark.parametrize("path", ["one/src/score.py", "one/src/new.py", "one/src/deep/new.py"])
def test_an_edit_between_the_looks_of_two_actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The layer of the code was taken over, and then the file is edited before the lint of another target reads it."""
    space = _made(tmp_path)
    real, apply = time.time_ns, Carried.apply
    monkeypatch.setattr(time, "time_ns", lambda: real() + 5_000_000_000)  # as where a server stamps that is behind
    assert _built(space, ("//two/...",))[0] == 0
    time.sleep(_TICK)

    def edited(self: Carried, build: Build, *, whole: bool) -> None:
        apply(self, build, whole=whole)
        space.write(path, "edited\n")

    with monkeypatch.context() as patch:
        patch.setattr(Carried, "apply", edited)
        before = _built(space, ("//two:same", "//one:app"))
    after = _built(space, ("//two:same", "//one:app"))
    assert after == CLEAN.build(space, ("//two:same", "//one:app")) != before


@pytest.mark.parametrize("path", ["one/src/late.py", "one/src/deep/late.py", "two/src/conf/late.py"])
def test_a_file_that_comes_when_its_folder_was_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The row of the folder is the one from before the listing, and not the one that it has when all is built."""
    space = _made(tmp_path)
    real, read = time.time_ns, SourceReader.read
    monkeypatch.setattr(time, "time_ns", lambda: real() + 5_000_000_000)  # as where a server stamps that is behind
    time.sleep(_TICK)

    def read_before(self: SourceReader, source: SourceSet) -> list[SourceFile]:
        files = read(self, source)
        if path.startswith(source.directory) and not space.path(path).exists():
            space.write(path, "late\n")
        return files

    with monkeypatch.context() as patch:
        patch.setattr(SourceReader, "read", read_before)
        before = _built(space, ("//...",))
    after = _built(space, ("//...",))
    assert after == CLEAN.build(space, ("//...",)) != before


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("path", ["BUILD.yaml", "rules/plain.yaml", "one/BUILD.yaml", "three/BUILD.yaml"])
def test_what_a_plan_was_made_from_changes_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, known: bool
) -> None:
    """Also where the plan goes on, because somebody saved the same texts again."""
    space = _made(tmp_path)
    real, run = time.time_ns, Build.run
    monkeypatch.setattr(time, "time_ns", lambda: real() + 5_000_000_000)  # as where a server stamps that is behind
    if known:
        _built(space, ("//...",))
        for name in FILES:
            _save_again(name)(space)
    time.sleep(_TICK)

    def edited(self: Build) -> None:
        text = FILES.get(path, ONE).replace("rule: //rules:plain", "rule: //rules:plain, port: 9")
        space.write(path, text.replace("default: 8080", "default: 80").replace("app:", "other:") + "\n")
        run(self)

    with monkeypatch.context() as patch:
        patch.setattr(Build, "run", edited)
        before = _built(space, ("//...",))
    after = _built(space, ("//...",))
    assert after == CLEAN.build(space, ("//...",)) != before


def test_what_changes_and_changes_back_while_it_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plans of two command lines saw different texts, and each saw its own again when it looked if it holds."""
    space = _made(tmp_path)
    real, begin = time.time_ns, Carried.__init__
    monkeypatch.setattr(time, "time_ns", lambda: real() + 5_000_000_000)  # as where a server stamps that is behind
    flip = _either("rules/plain.yaml", "default: 8080", "default: 80")
    _built(space, ("//two:app",))
    flip(space)
    time.sleep(_TICK)

    def flipped(self: Carried, state: State, root: str) -> None:
        flip(space)
        begin(self, state, root)

    with monkeypatch.context() as patch:
        patch.setattr(Carried, "__init__", flipped)
        _built(space, ("//one:app",))
    for _ in range(2):
        flip(space)
        time.sleep(_TICK)
        for patterns in (("//two:app",), ("//one:app",)):
            assert _built(space, patterns) == CLEAN.build(space, patterns)


def test_what_changes_and_changes_back_while_a_package_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One package is planned anew from a rule that nobody else has seen as it was then."""
    space = _made(tmp_path)
    real, begin, end = time.time_ns, prepared.prepare, again._numbers
    monkeypatch.setattr(time, "time_ns", lambda: real() + 5_000_000_000)  # as where a server stamps that is behind
    flip = _either("rules/plain.yaml", "[python3, /c/", "[python3, -u, /c/")
    for _ in range(2):  # the first one writes a lock
        _built(space, ("//...",))
    _either("two/BUILD.yaml", "src/skip*", "src/none*")(space)
    time.sleep(_TICK)
    planned: list[str] = []

    def flipped(*args: Any) -> Any:
        if not planned:
            flip(space)
        return begin(*args)

    def back(*args: Any) -> Any:
        planned.append(space.path("rules/plain.yaml").read_text())
        flip(space)
        return end(*args)

    with monkeypatch.context() as patch:
        patch.setattr(prepared, "prepare", flipped)
        patch.setattr(again, "_numbers", back)
        _built(space, ("//...",))
    assert planned == [RULE.replace("python3,", "python3, -u,")] and space.path("rules/plain.yaml").read_text() == RULE
    assert _built(space, ("//...",)) == CLEAN.build(space, ("//...",))


def test_a_folder_that_cannot_be_searched_any_more(tmp_path: Path) -> None:
    """It became a link to below itself: as if it were not there, for what is planned anew beside the state as well."""
    space = _made(tmp_path)
    space.run("build", "//two:same")
    _link("two", "two/src")(space)
    assert Search(str(space.root), [])("two/src") is None  # which of the facts is looked at first is another question
    for patterns in (("//one:app",), ("//...",), ("//two/...",)):
        assert _built(space, patterns) == CLEAN.build(space, patterns)


def _edited_meanwhile(space: Space, patterns: tuple[str, ...]) -> None:
    """A build under which files change, come and go, whatever it says."""
    done = threading.Event()

    def edit() -> None:
        number = 0
        while not done.wait(0.01):
            number += 1
            with contextlib.suppress(AssertionError):  # of `pure`: while a plan is made nobody may look at the disk
                _write("one/src/score.py", f"{number % 3}\n", 0o644)(space)
                _save("two/src/score.py", f"{number % 2}\n")(space)
                now = "one/src/deep/now.py"
                (_remove(now) if number % 3 else _write(now, "now\n", 0o644))(space)
                if number % 2:
                    _either("rules/plain.yaml", "default: 8080", "default: 80")(space)

    editor = threading.Thread(target=edit)
    editor.start()
    _built(space, patterns)
    done.set()
    editor.join()
    time.sleep(_TICK)


def _two_at_once(space: Space, patterns: tuple[str, ...]) -> None:
    """Two processes with one state."""
    both = [space.start("build", *names) for names in (patterns, ("//...",))]
    for process in both:
        process.communicate(timeout=120)
