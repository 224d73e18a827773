"""`watch`: every change is built, none twice, whatever bursts, renames and editors' saves it comes in."""

import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy
from tests.support.running import running_space
from tests.support.space import APP, Space

SEEDS = int(os.environ.get("BUILDRULES_TEST_CASES", "3"))


class Watched:
    """A `watch` that runs, and what it has written."""

    def __init__(self, process: "subprocess.Popen[bytes]", out: Path) -> None:
        self.process = process
        self._out = out

    @property
    def text(self) -> str:
        """All it wrote so far, to both streams."""
        return self._out.read_text()

    @property
    def digests(self) -> list[str]:
        """The digest of each build it told of."""
        return re.findall(r"(?:image|linux/amd64) +(sha256:[0-9a-f]{64})", self.text)

    def until(self, holds: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.02)


@contextlib.contextmanager
def watching(space: Space, *args: str) -> Iterator[Watched]:
    out = space.root.parent / "watch.out"
    env = {**space.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "buildrules", "watch", *args]
    with open(out, "wb") as file:
        process = subprocess.Popen(command, cwd=space.root, env=env, stdout=file, stderr=subprocess.STDOUT)
    watched = Watched(process, out)
    try:
        watched.until(lambda: "Ctrl-C ends it" in watched.text)
        yield watched
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0, watched.text
    assert "Traceback" not in watched.text


def _plain(space: Space, path: str, content: str) -> None:
    space.write(path, content)


def _in_place(space: Space, path: str, content: str) -> None:
    """As `>` of a shell: the file is empty for a moment."""
    with open(space.path(path), "w") as file:
        file.flush()
        time.sleep(random.choice([0, 0.002, 0.06]))
        file.write(content)


def _renamed_over(space: Space, path: str, content: str) -> None:
    """As most editors save."""
    aside = space.path(f"{path}.{os.urandom(3).hex()}")
    aside.write_text(content)
    os.replace(aside, space.path(path))


def _with_backup(space: Space, path: str, content: str) -> None:
    """As vim does where it may not rename over a file: the old one steps aside, and is removed."""
    place = space.path(path)
    backup = place.with_name(place.name + "~")
    place.rename(backup)
    place.write_text(content)
    backup.unlink()


SAVES = (_plain, _in_place, _renamed_over, _with_backup)


def _change(space: Space, numbers: random.Random) -> None:
    """One thing that people or their tools do; afterwards there is a workspace that builds."""
    text = f"def run(data):\n    return {numbers.randrange(1000)}\n"
    kind = numbers.randrange(7)
    folder = space.path(f"src/{numbers.choice('abc')}")
    if kind < 3:
        numbers.choice(SAVES)(space, f"src/{numbers.choice(['score', 'helper'])}.py", text)
    elif kind == 3:
        numbers.choice(SAVES)(space, "weights/labels.txt", text)
    elif kind == 4:  # a folder with something in it, or one that goes
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        else:
            (folder).mkdir()
            (folder / "new.py").write_text(text)
    elif kind == 5:  # a folder is renamed
        other = space.path("src/moved")
        source, to = (other, folder) if other.is_dir() else (folder, other)
        if source.is_dir() and not to.is_dir():
            source.rename(to)
    else:
        space.write(f"notes-{numbers.randrange(3)}.txt", text)  # that no build looks at


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_change_is_built_and_none_twice(workspace: Space, seed: int) -> None:
    numbers = random.Random(seed)
    random.seed(seed)
    with watching(workspace, APP) as watched:
        for _ in range(6):
            for _ in range(numbers.choice([1, 1, 2, 5, 20])):
                _change(workspace, numbers)
                time.sleep(numbers.choice([0, 0, 0.01, 0.1]))
            wanted = workspace.clean_build(APP).digests[APP]
            watched.until(lambda wanted=wanted: watched.digests[-1] == wanted)
        time.sleep(0.5)
        told = watched.digests
        assert told[-1] == wanted
        assert all(one != other for one, other in itertools.pairwise(told)), watched.text


def test_what_changed_is_named_and_what_is_the_same_passed_over(workspace: Space) -> None:
    with watching(workspace, APP) as watched:
        (first,) = watched.digests
        workspace.path("src/score.py").touch()
        workspace.write("README.txt", "nothing of a build\n")
        workspace.write("src/score.py", "answer = 1\n")
        watched.until(lambda: len(watched.digests) == 2)
        assert re.search(r"^[0-9:]{8} .*src/score.py.* changed$", watched.text, re.MULTILINE)
        assert watched.digests[1] != first
        assert "file src/score.py changed" in watched.text


def test_an_error_is_said_and_the_next_save_is_another_try(workspace: Space) -> None:
    good = workspace.path("BUILD.yaml").read_text()
    with watching(workspace, APP) as watched:
        workspace.write("BUILD.yaml", good.replace("rule: model,", "rule: modl,"))
        watched.until(lambda: "did you mean 'model'?" in watched.text)
        watched.until(lambda: "BUILD.yaml changed: the build failed" in watched.text)
        workspace.write("BUILD.yaml", good)
        watched.until(lambda: watched.text.count("linux/amd64") == 2)
        assert len(set(watched.digests)) == 1


def test_what_was_built_is_tested(workspace: Space) -> None:
    with watching(workspace, APP, "--test", "--progress", "plain") as watched:
        assert f"watching {APP}; Ctrl-C" in watched.text
        watched.until(lambda: "not tested" in watched.text)
        workspace.write("src/score.py", "answer = 2\n")
        watched.until(lambda: watched.text.count("not tested") == 2)


def test_run_wants_one_package(workspace: Space) -> None:
    error = workspace.run("watch", "--run", "//...", "-//:m", code=2).err
    assert "only one package can be run" in error


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_a_running_package_is_started_anew(tmp_path: Path, wheelhouse: Path, busybox: bytes, engine: Engine) -> None:
    space = running_space(tmp_path, wheelhouse, busybox)

    def answer() -> str:
        urls = re.findall(r"scoring +(http://\S+)", watched.text)
        with contextlib.suppress(OSError), urllib.request.urlopen(urls[-1], timeout=5) as found:
            return str(found.read().decode())
        return ""

    with tidy(engine, space.name):
        with watching(space, "--run", APP) as watched:
            watched.until(lambda: "scoring" in watched.text)
            first = answer()
            assert "PATH=" in first
            text = space.path("src/score").read_text()
            space.write("src/score", text + "echo second\n", mode=0o755)
            watched.until(lambda: watched.text.count("scoring") == 2)
            watched.until(lambda: "second" in answer())
            assert len(set(re.findall(r"scoring +(http://\S+)", watched.text))) == 1  # at the same address
        assert space.run("ps", "--json").out.count(space.name) == 0


def test_hostile_names_are_text(workspace: Space) -> None:
    with watching(workspace, APP) as watched:
        workspace.write("src/\x1b[31mred\nand more.py", "x = 1\n")
        watched.until(lambda: len(watched.digests) == 2)
        assert "\x1b" not in watched.text
        assert re.search(r"^[0-9:]{8} .*src/\\x1b\[31mred\\nand more\.py changed$", watched.text, re.MULTILINE)


def test_what_is_not_there_is_not_watched(workspace: Space) -> None:
    workspace.process("watch", "//nosuch", code=2).said("no target matches '//nosuch:nosuch'")
