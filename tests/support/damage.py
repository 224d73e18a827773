"""A store that is damaged in every place and in every way, and put back again."""

import json
import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

from tests.support.repository import Repository
from tests.support.space import APP, Space

VERBS = (
    *("build", "export", "show", "lint", "why", "query", "test", "step"),
    *("affected", "diff", "size", "report", "layers", "bundle", "deploy", "nearest"),
    *("lock", "gc", "verify", "info", "clean", "expunge"),
)


def _flip(path: Path, chooser: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
    _instead(path, bytes(data))


def _truncate(path: Path, chooser: random.Random) -> None:
    data = path.read_bytes()
    _instead(path, data[: chooser.randrange(len(data) or 1)])


def _instead(path: Path, data: bytes) -> None:
    """Another file in the place of this one, whose content may be shared with the store that is kept."""
    path.unlink()
    path.write_bytes(data)


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _directory(path: Path, chooser: random.Random) -> None:
    _delete(path)
    path.mkdir()
    if chooser.random() < 0.5:
        (path / "file").write_text("something")


def _link(path: Path, target: str) -> None:
    _delete(path)
    path.symlink_to(target)


def _unreadable(path: Path) -> None:
    if path.is_file():
        _instead(path, path.read_bytes())
    path.chmod(0)


def _swap(path: Path, chooser: random.Random) -> None:
    """The content of a neighbour: sound in itself, and not what the name says."""
    others = sorted(one for one in path.parent.parent.rglob("*") if one.is_file() and one != path)
    _instead(path, chooser.choice(others).read_bytes() if others else b"other")


def _file(path: Path) -> None:
    _delete(path)
    path.write_text("no folder")


def _pipe(path: Path) -> None:
    """Opened like a file, it waits for its other end."""
    _delete(path)
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "flip": _flip,
    "truncate": _truncate,
    "append": lambda path, _: _instead(path, path.read_bytes() + b"\n"),
    "swap": _swap,
    "empty": lambda path, _: _instead(path, b""),
    "zeros": lambda path, _: _instead(path, bytes(path.stat().st_size)),  # as a machine leaves it that lost its power
    "delete": lambda path, _: _delete(path),
    "directory": _directory,
    "link": lambda path, _: _link(path, "/etc/passwd"),
    "loop": lambda path, _: _link(path, path.name),
    "pipe": lambda path, _: _pipe(path),
    "unreadable": lambda path, _: _unreadable(path),
    "file": lambda path, _: _file(path),
}
FOLDERS = ("delete", "link", "loop", "pipe", "unreadable", "file")


def _restore(kept: Path, place: Path) -> None:
    """Put back what is kept. Folders stay, and blobs that still are the kept ones: making all anew takes far longer."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
        place.mkdir()
    names = set(os.listdir(kept))
    for path in place.iterdir():
        if path.name not in names:
            _delete(path)
    for path in kept.iterdir():
        target = place / path.name
        if path.is_dir() and not path.is_symlink():
            _restore(path, target)
            continue
        there = os.path.lexists(target)
        if there and target.lstat().st_ino == path.stat().st_ino:
            continue
        if there:
            _delete(target)
        (os.link if "blobs" in path.parts else partial(shutil.copy2, follow_symlinks=False))(path, target)
    shutil.copystat(kept, place)


class Damaged:
    """A built workspace whose store can be damaged again and again."""

    def __init__(self, space: Space) -> None:
        self.space = space
        del space.env["UV_CACHE_DIR"]  # so that what uv keeps lies in the store
        space.append("src/score.py", "# edited\n")  # the state has a journal
        space.run("lock", APP)
        self.digest = space.build().digest
        steps = space.folder / "steps"
        space.clean_run("build", APP, "--steps", str(steps))
        self._steps = sorted(steps.iterdir())
        space.run("lint", APP, code=None)
        Repository(space.root).commit()
        for verb in ("query", "affected", "diff", "size"):  # what they keep for others
            space.run(*self._words(verb), code=None)
        self._kept = space.folder / "kept"
        shutil.copytree(space.store, self._kept, symlinks=True)
        places = sorted(path.relative_to(self._kept).as_posix() for path in self._kept.rglob("*"))
        self.places = [place for place in places if not place.startswith("uv/")]
        self.kept_by_uv = [place for place in places if place.startswith("uv/")]  # which `lock` alone meets
        self._number = 0
        self._expected = self._export()

    def classes(self) -> list[tuple[str, str]]:
        """(place, damage) for one place of each kind, in each way; every other time it is another blob."""
        kinds: dict[str, str] = {}
        for place in self.places:
            top, _, rest = place.partition("/")
            many = top in ("blobs", "logs", "workspaces")
            name = f"{place.count('/')} {Path(rest).suffix}" if many else place
            kinds.setdefault(f"{top} {name}", place)
        blobs = [place for place in self.places if place.startswith("blobs/sha256/") and place.count("/") == 3]
        others = cycle(blobs)
        places = [(place, how) for place in kinds.values() for how in self.ways(place)]
        return [(next(others) if place in blobs else place, how) for place, how in places]

    def ways(self, place: str) -> tuple[str, ...]:
        """How this place can be damaged."""
        return FOLDERS if (self._kept / place).is_dir() else tuple(DAMAGES)[:-1]

    def case(self, place: str, how: str, verb: str, seed: int = 0) -> None:
        """Damage a place, run a verb, and look whether it, and a build and an export after it, do what they must."""
        told = f"{how} of {place}, met by {verb} (seed {seed})"
        _restore(self._kept, self.space.store)
        DAMAGES[how](self.space.store / place, random.Random(seed))
        try:
            self._verb(verb, seed)
            if verb != "export":
                assert self._export() == self._expected
            if seed % 4 == 0:
                assert self.space.build().digest == self.digest
        except BaseException as error:
            raise AssertionError(told) from error

    def _words(self, verb: str) -> tuple[str, ...]:
        return {
            "gc": ("cache", "gc", "--keep", "0s"),
            "verify": ("cache", "verify"),
            "info": ("cache", "info"),
            "clean": ("clean",),
            "expunge": ("clean", "--expunge"),
            "build": ("build", APP, "--json"),
            "affected": ("affected", "--since", "HEAD", "//..."),
            "diff": ("diff", APP, APP),
            "bundle": ("bundle", APP, "-o", str(self.space.folder / "bundle")),
            "deploy": ("deploy-files", APP, "--for", "kubernetes", "--to", "registry.example/app", "-o", "-"),
            "nearest": ("why", APP, "--nearest"),
            "report": ("report", "-o", str(self.space.folder / "report.json")),
        }.get(verb, (verb, APP))

    def _verb(self, verb: str, seed: int) -> None:
        if verb == "export":
            assert self._export() == self._expected
            return
        if verb == "step":
            self._step(self._steps[seed % len(self._steps)])
            return
        result = self.space.run(*self._words(verb), code=None)
        assert result.code in ((0, 1) if verb == "verify" else (0,)), result.out + result.err
        assert "Traceback" not in result.out + result.err
        assert "unexpected" not in result.out + result.err
        if verb == "build":
            assert json.loads(result.out)["targets"][0]["digest"] == self.digest

    def _step(self, file: Path) -> None:
        """A step fetches nothing: what it needs is there, or it says what is damaged."""
        result = self.space.run("step", str(file), code=None)
        answer = json.loads(result.out)
        assert "Traceback" not in result.err
        assert result.code == 0 or answer["error"]["class"] in ("DamagedError", "GoneError"), answer

    def _export(self) -> dict[str, bytes]:
        self._number += 1
        out = self.space.folder / f"out{self._number}"
        result = self.space.run("export", APP, "-o", str(out))
        assert "Traceback" not in result.err
        try:
            return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        finally:
            shutil.rmtree(out)
