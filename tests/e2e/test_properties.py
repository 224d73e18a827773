"""Whatever is edited in whatever order: an incremental build is a clean build, and runs only what is affected."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.space import APP, Space

SECOND = "//:second"
MORE = """\
  code2: {rule: scoring_code, srcs: ["other/**/*.py"], exclude: ["other/skip*"], entry_script: anchor.py}
  second: {rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":code2"}
"""

Edit = Callable[[Space], None]

FOLDERS = ["src", "src/deep", "other", "other/a", "weights", "weights/shards", "unused"]
NAMES = ["score.py", "x.py", "skip.py", "labels.txt", ".hidden"]
CONTENTS = ["", "1\n", "2\n", "longer content\n" * 50]
PATHS = [f"{folder}/{name}" for folder in FOLDERS for name in NAMES]


def _write(path: str, content: str, mode: int) -> Edit:
    def edit(space: Space) -> None:
        space.write(path, content)
        space.path(path).chmod(mode)

    return edit


def _rename_over(path: str, content: str) -> Edit:
    def edit(space: Space) -> None:
        space.path(path).parent.mkdir(parents=True, exist_ok=True)
        space.rename_over(path, content)

    return edit


def _remove(path: str) -> Edit:
    return lambda space: space.path(path).unlink(missing_ok=True)


def _touch(path: str) -> Edit:
    def edit(space: Space) -> None:
        if space.path(path).exists():
            space.path(path).touch()

    return edit


def _move(folder: str, to: str) -> Edit:
    def edit(space: Space) -> None:
        source, target = space.path(folder), space.path(to)
        if source.is_dir() and target.is_dir() and not target.is_relative_to(source):
            shutil.rmtree(target / "moved", ignore_errors=True)
            if source.is_dir():
                source.rename(target / "moved")

    return edit


def _choose(path: str, texts: tuple[str, ...], number: int) -> Edit:
    """Write one of several texts where another of them stands."""

    def edit(space: Space) -> None:
        old = space.path(path).read_text()
        (present,) = [text for text in texts if text in old]
        space.write(path, old.replace(present, texts[number]))

    return edit


THREADS, NUMLIB, TAG = ("default: 2", "default: 5"), ("numlib==1.0", "numlib==2.0"), ("# tag 0", "tags: {a: b}")
paths = st.sampled_from(PATHS)
number = st.integers(0, 1)
edits = st.one_of(
    st.builds(_write, paths, st.sampled_from(CONTENTS), st.sampled_from([0o644, 0o755, 0o600])),
    st.builds(_rename_over, paths, st.sampled_from(CONTENTS)),
    st.builds(_remove, paths),
    st.builds(_touch, paths),
    st.builds(_move, st.sampled_from(["src/deep", "other/a", "weights/shards"]), st.sampled_from(FOLDERS)),
    st.builds(_choose, st.just("rules/tiny.yaml"), st.just(THREADS), number),
    st.builds(_choose, st.just("BUILD.yaml"), st.just(NUMLIB), number),
    st.builds(_choose, st.just("BUILD.yaml"), st.just(TAG), number),
)


class Expectation:
    """What should run, worked out by hand from the files: each step's inputs, and those seen before."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def affected(self, space: Space) -> tuple[set[str], int]:
        """(origins of the layers that must be made now, how many images and looks at what is installed must be)."""
        build, tiny = space.path("BUILD.yaml").read_text(), space.path("rules/tiny.yaml").read_text()
        steps = {"model m: small files": [], "code code": [], "code code2": []}
        for path in sorted(space.root.rglob("*")):
            name = str(path.relative_to(space.root))
            if path.is_file():
                value = f"{name} {path.read_bytes()!r} {path.stat().st_mode & 0o100}"
                if name.startswith("weights/"):
                    steps["model m: small files"].append(value)
                if name.startswith("src/"):
                    steps["code code"].append(value)
                if name.startswith("other/") and name.endswith(".py") and not name.startswith("other/skip"):
                    steps["code code2"].append(value)
        steps["small wheels 2"] = [NUMLIB[0] in build]
        shared = [steps["model m: small files"], steps["small wheels 2"], THREADS[0] in tiny]
        images = {
            "first image": [*shared, steps["code code"], TAG[0] in build],
            "second image": [*shared, steps["code code2"]],
        }
        layers = self._new(steps)
        looks = {"what is installed": steps["small wheels 2"]}
        return layers, len(self._new(images)) + len(self._new(looks))

    def _new(self, steps: dict[str, list[object]]) -> set[str]:
        now = {name: f"{name} {inputs!r}" for name, inputs in steps.items()}
        new = {name for name, inputs in now.items() if inputs not in self.seen}
        self.seen.update(now.values())
        return new


def follow(template: Path, wheelhouse: Path, sequence: list[list[Edit]]) -> None:
    """Make the edits of each step, build, and compare with a build of the same files in an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        space = Space(Path(folder), wheelhouse)
        shutil.copytree(template, space.root)
        space.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    # tag 0\n")
        space.edit("BUILD.yaml", "entry_script: score.py", "entry_script: anchor.py")
        space.append("BUILD.yaml", MORE)
        for path in ("src/anchor.py", "other/anchor.py", "weights/anchor"):
            space.write(path, "always here")
        expectation = Expectation()
        for step in [[], *sequence]:
            for edit in step:
                edit(space)
            layers, others = expectation.affected(space)
            report = space.build(APP, SECOND)
            if step:
                assert report.built == layers
                assert report.executed == len(layers) + others
            assert report.digests == space.clean_build(APP, SECOND).digests
        again = space.build(APP, SECOND)
        assert again.executed == 0
        assert again.digests == report.digests


patient = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.slow
@given(sequence=st.lists(st.lists(edits, min_size=1, max_size=3), min_size=1, max_size=8))
@settings(patient, max_examples=40)
def test_incremental_is_clean(template: Path, wheelhouse: Path, sequence: list[list[Edit]]) -> None:
    follow(template, wheelhouse, sequence)
