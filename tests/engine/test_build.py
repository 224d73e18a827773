"""The build loop with kinds of its own: records, early cutoff, failures, unstable inputs, damage."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from buildrules.engine.action import Action, Outputs, SourceSet
from buildrules.engine.build import FIRST, Build, Outcome
from buildrules.engine.cache import StoreCache
from buildrules.engine.events import ActionFinished, Notice, Status
from buildrules.engine.kind import Context, Traits
from buildrules.engine.plan import Goal, Plan
from buildrules.engine.step import Step
from buildrules.errors import ActionError, DamagedError, Interrupted, UnexpectedError
from buildrules.store.store import Store
from tests.support.bench import Bench, text_of


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def statuses(build: Build) -> dict[str, Status]:
    return {name: outcome.status for name, outcome in build.outcomes.items()}


def test_dependencies_come_first_and_each_action_once(bench: Bench) -> None:
    for name, deps in {"d": ("b", "c"), "b": ("a",), "c": ("a",), "a": ()}.items():
        bench.add(name, *deps, goal=name == "d", text=name)
    bench.add("unneeded")
    build = bench.build()
    assert build.ok
    assert sorted(bench.kinds.ran) == ["a", "b", "c", "d"]
    assert bench.kinds.ran[0] == "a" and bench.kinds.ran[-1] == "d"


def test_equal_steps_run_once_though_they_are_ready_at_once(bench: Bench) -> None:
    first = threading.Event()

    def slow(step: Step, context: Context) -> Outputs:
        first.wait(0.2)
        return text_of(step, context)

    bench.kinds.works["slow"] = slow
    for name in "abcd":
        bench.add(name, kind="slow", goal=True)
        bench.plan.actions[name] = bench.plan.actions[name]._replace(weight=1.0)
    build = bench.build(jobs=4)
    assert len(bench.kinds.ran) == 1
    assert sorted(status.name for status in statuses(build).values()) == ["CACHED"] * 3 + ["EXECUTED"]


def test_the_second_time_everything_is_taken_from_records(bench: Bench) -> None:
    bench.add("a", glob="*.txt", goal=True)
    (bench.root / "x.txt").write_text("x")
    first = bench.build()
    assert first.outcomes["a"].reasons == [FIRST]
    again = bench.build()
    assert bench.kinds.ran == []
    assert statuses(again) == {"a": Status.CACHED}
    assert again.outcomes["a"].outputs == first.outcomes["a"].outputs


def test_an_action_that_makes_the_same_ends_the_rebuild(bench: Bench) -> None:
    """Early cutoff: `a` runs again, because a file changed; its output did not, so `b` does not run."""
    bench.add("a", glob="*.txt")
    bench.add("b", "a", goal=True)
    (bench.root / "x.txt").write_text("x")
    bench.build()
    (bench.root / "x.txt").write_text("y")  # the same size: the same output
    build = bench.build()
    assert statuses(build) == {"a": Status.EXECUTED, "b": Status.CACHED}
    (bench.root / "x.txt").write_text("longer")
    assert set(statuses(bench.build()).values()) == {Status.EXECUTED}


def test_a_kind_of_another_version_runs_again(bench: Bench) -> None:
    bench.add("a", goal=True)
    bench.build()
    bench.kinds.now = 2
    build = bench.build()
    assert statuses(build) == {"a": Status.EXECUTED}
    assert "kind changed" in build.outcomes["a"].reasons[0]


@pytest.mark.parametrize("given", [False, True])
def test_a_lost_blob_makes_its_action_run_and_says_so(bench: Bench, given: bool) -> None:
    def build() -> Build:
        return bench.build(cache=StoreCache(Store(str(bench.store_root)).records) if given else None)

    bench.add("a", text="hello", goal=True)
    first = build()
    blob = first.outcomes["a"].outputs.blobs["text"]  # type: ignore[union-attr]
    os.unlink(first.here.blobs.path(blob))
    again = build()
    assert statuses(again) == {"a": Status.EXECUTED}
    assert again.outcomes["a"].reasons == [f"text {blob[:19]} is missing from the store"]


def test_what_the_last_build_knew_is_checked_before_it_counts(bench: Bench) -> None:
    bench.add("a", text="hello", goal=True)
    first = bench.build()
    outputs = first.outcomes["a"].outputs
    assert outputs is not None
    known = Outcome(Status.UNCHANGED, first.outcomes["a"].key, outputs)
    bench.previous = {"a": known}
    assert statuses(bench.build()) == {"a": Status.UNCHANGED}
    bench.previous = {"a": known._replace(key="another key")}
    assert statuses(bench.build()) == {"a": Status.CACHED}
    bench.previous = {"a": known}
    os.unlink(first.here.blobs.path(outputs.blobs["text"]))
    assert statuses(bench.build()) == {"a": Status.EXECUTED}


def fails(*_: Any) -> Outputs:
    raise ActionError("it does not work", hint="try again")


def test_a_failure_skips_what_needs_it(bench: Bench) -> None:
    bench.kinds.works["bad"] = fails
    bench.add("a", kind="bad")
    bench.add("b", "a", goal=True)
    build = bench.build()
    assert not build.ok
    assert statuses(build) == {"a": Status.FAILED, "b": Status.SKIPPED}
    assert [error.message for error in build.errors] == ["it does not work"]
    finished = {event.action.id: event.status for event in bench.events if isinstance(event, ActionFinished)}
    assert finished == statuses(build)


@pytest.mark.parametrize("keep_going", [True, False])
def test_keep_going_decides_about_the_rest(bench: Bench, keep_going: bool) -> None:
    bench.kinds.works["bad"] = fails
    bench.add("a", kind="bad", goal=True)
    bench.plan.actions["a"] = bench.plan.actions["a"]._replace(weight=100.0)  # so that it is the first
    bench.add("b", goal=True)
    build = bench.build(jobs=1, keep_going=keep_going)
    assert ("b" in bench.kinds.ran) == keep_going
    assert not build.ok


def test_a_failure_is_not_recorded(bench: Bench) -> None:
    bench.kinds.works["moody"] = fails
    bench.add("a", kind="moody", goal=True)
    assert not bench.build().ok
    bench.kinds.works["moody"] = text_of
    assert statuses(bench.build()) == {"a": Status.EXECUTED}


def test_an_os_error_becomes_an_error_for_people(bench: Bench) -> None:
    def broken(*_: Any) -> Outputs:
        raise FileNotFoundError(2, "No such file or directory", "weights.bin")

    bench.kinds.works["broken"] = broken
    bench.add("a", kind="broken", goal=True)
    (error,) = bench.build().errors
    assert error.message == "a failed: No such file or directory 'weights.bin'"


@pytest.mark.parametrize("mistake", [KeyError("https://user:word@host/x"), RecursionError("deep"), AssertionError()])
def test_a_bug_in_an_action_is_an_error_that_names_it(bench: Bench, mistake: Exception) -> None:
    def buggy(*_: Any) -> Outputs:
        raise mistake

    bench.kinds.works["buggy"] = buggy
    bench.add("a", kind="buggy", goal=True)
    bench.add("b", goal=True)
    build = bench.build(keep_going=True)
    assert statuses(build) == {"a": Status.FAILED, "b": Status.EXECUTED}
    (error,) = build.errors
    assert isinstance(error, UnexpectedError)
    assert error.message.startswith(f"a failed unexpectedly: {type(mistake).__name__}")
    assert "tests/engine/test_build.py:" in error.message
    assert "raise mistake" in error.traceback
    assert "word" not in error.message + error.traceback
    assert "bug of a plugin or of buildrules" in (error.hint or "")


def test_what_breaks_after_ctrl_c_is_no_bug(bench: Bench) -> None:
    """The build is interrupted, and nothing else is said of it."""

    def patient(step: Step, context: Context) -> Outputs:
        if threading.current_thread() is threading.main_thread():
            context.progress("long", 0, None)
            begun.wait(30)
            raise KeyboardInterrupt
        begun.set()
        while not context.cancelled:
            threading.Event().wait(0.01)
        raise KeyError("the way out")

    begun = threading.Event()
    bench.kinds.works["patient"] = patient
    for name in "ab":
        bench.add(name, kind="patient", goal=True, text=name)
    with pytest.raises(Interrupted):
        bench.build(jobs=2)
    assert not [event for event in bench.events if isinstance(event, ActionFinished) and event.error is not None]


def test_an_input_that_changes_while_it_is_used_is_used_and_not_recorded(bench: Bench) -> None:
    def meddle(step: Step, context: Context) -> Outputs:
        outputs = text_of(step, context)
        (bench.root / "x.txt").write_text("changed by somebody else")
        return outputs

    bench.kinds.works["meddle"] = meddle
    (bench.root / "x.txt").write_text("x")
    bench.add("a", kind="meddle", glob="*.txt", goal=True)
    build = bench.build()
    assert build.ok
    assert build.outcomes["a"].unstable
    (notice,) = [event for event in bench.events if isinstance(event, Notice)]
    assert "'x.txt' changed during a" in notice.message
    (bench.root / "x.txt").write_text("x")
    bench.kinds.works["meddle"] = text_of
    assert statuses(bench.build()) == {"a": Status.EXECUTED}


def test_a_file_that_vanishes_while_it_is_used_is_noticed(bench: Bench) -> None:
    def remove(step: Step, context: Context) -> Outputs:
        (bench.root / "x.txt").unlink()
        return text_of(step, context)

    bench.kinds.works["remove"] = remove
    (bench.root / "x.txt").write_text("x")
    (bench.root / "y.txt").write_text("y")
    bench.add("a", kind="remove", glob="*.txt", goal=True)
    assert bench.build().outcomes["a"].unstable


def test_no_file_is_an_error_that_names_the_glob(bench: Bench) -> None:
    bench.add("a", glob="*.bin", goal=True)
    (error,) = bench.build().errors
    assert error.message == "no file matches '*.bin' in '//'"


def test_ctrl_c_in_the_first_thread_reaches_the_others(bench: Bench) -> None:
    waiting, ended = threading.Event(), threading.Event()

    def patient(step: Step, context: Context) -> Outputs:
        if threading.current_thread() is threading.main_thread():
            waiting.wait(30)
            raise KeyboardInterrupt
        waiting.set()
        for _ in range(3000):
            if context.cancelled:
                ended.set()
                raise Interrupted("interrupted")
            threading.Event().wait(0.01)
        raise AssertionError("nobody said that the build was interrupted")

    bench.kinds.works["patient"] = patient
    # the first thread only gets help when what it does reports that it takes a while
    bench.kinds.works["long"] = lambda step, context: (
        context.progress("long", 0, None),
        patient(step, context),
    )[1]
    for name in "abcd":
        bench.add(name, kind="long" if name == "a" else "patient", goal=True, text=name)
    with pytest.raises(Interrupted):
        bench.build(jobs=4)
    assert ended.is_set()


def test_what_was_finished_before_an_interruption_is_kept(bench: Bench) -> None:
    def interrupt(*_: Any) -> Outputs:
        raise KeyboardInterrupt

    bench.kinds.works["interrupt"] = interrupt
    bench.add("a")
    bench.add("b", "a", kind="interrupt", goal=True)
    with pytest.raises(Interrupted) as caught:
        bench.build()
    assert caught.value.exit_code == 130
    bench.kinds.works["interrupt"] = text_of
    assert statuses(bench.build()) == {"a": Status.CACHED, "b": Status.EXECUTED}


def test_reasons_are_what_the_key_saw(bench: Bench) -> None:
    bench.add("a", glob="*.txt", text="one", goal=True)
    (bench.root / "x.txt").write_text("x")
    bench.build()
    (bench.root / "x.txt").write_text("xy")
    (bench.root / "new.txt").write_text("")
    bench.plan = Plan()
    bench.add("a", glob="*.txt", text="two", goal=True)
    reasons = bench.build().outcomes["a"].reasons
    assert reasons == ["text changed: one -> two", "file new.txt is new", "file x.txt changed: 1 -> 2 bytes"]


def test_a_record_that_cannot_be_read_is_a_miss(bench: Bench) -> None:
    bench.add("a", text="hello", goal=True)
    key = bench.build().outcomes["a"].key
    store = Store(str(bench.store_root))
    store.records.put(key, {"layers": "nonsense"})
    store.close()
    assert statuses(bench.build()) == {"a": Status.EXECUTED}
    assert statuses(bench.build()) == {"a": Status.CACHED}


def test_a_large_file_that_would_delete_from_the_layers_below_is_refused(bench: Bench) -> None:
    (bench.root / "m").mkdir()
    with open(bench.root / "m/.wh.x", "wb") as file:
        file.truncate(16 << 20)
    sources = (SourceSet("m", (".wh.*",), layer_prefix="opt"),)
    bench.plan.add(Action("a", "//:t", "text", "a", sources=sources))
    bench.plan.goals.append(Goal("a", "linux/amd64", "a", "layers"))
    (error,) = bench.build().errors
    assert "'m/.wh.x' is a whiteout" in error.message
    assert error.hint == "exclude it"


GOOD_LAYER: dict[str, Any] = {
    "digest": "sha256:" + "0" * 64,
    "diff_id": "sha256:" + "0" * 64,
    "size": 1,
    "media_type": "m",
    "recipe": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"values": []},
        {"blobs": {"text": "../.."}},
        {"blobs": ["text"]},
        {"layers": [GOOD_LAYER | {"recipe": "text"}]},
        {"layers": [GOOD_LAYER | {"size": "1"}]},
        {"layers": [GOOD_LAYER | {"digest": "sha256:../../x"}]},
        {"layers": [GOOD_LAYER | {"diff_id": None}]},
        {"layers": ["text"]},
        {"layers": 3},
    ],
)
def test_a_record_of_wrong_types_is_a_miss(bench: Bench, change: dict[str, Any]) -> None:
    good: dict[str, Any] = {"layers": [GOOD_LAYER], "values": {}, "blobs": {}}
    assert Outputs.from_dict(good).to_dict() == good
    bench.add("a", text="hello", goal=True)
    key = bench.build().outcomes["a"].key
    store = Store(str(bench.store_root))
    store.records.put(key, store.records.get(key) | {"outputs": good | change})
    store.close()
    assert statuses(bench.build()) == {"a": Status.EXECUTED}


ROW = {"kind": "file", "path": "far", "size": 3, "digest": "sha256:" + "a" * 64}


def test_content_is_fetched_before_a_step_and_for_no_hit(bench: Bench) -> None:
    fetched: list[Step] = []
    bench.kinds.traits["far"] = Traits(content=lambda step: [ROW])
    bench.kinds.works["far"] = text_of
    bench.kinds.works["fetch"] = lambda step, context: fetched.append(step) or Outputs()
    bench.add("a", kind="far", goal=True)
    bench.plan.actions["a"] = bench.plan.actions["a"]._replace(places={"url": "https://example.invalid"})
    assert bench.build().ok
    (step,) = fetched
    assert (step.params, step.places) == ({"content": [ROW]}, {"url": "https://example.invalid"})
    assert len(bench.kinds.ran) == 2
    assert statuses(bench.build()) == {"a": Status.CACHED}
    assert len(fetched) == 1


@pytest.mark.parametrize(("damaged", "ok"), [(1, True), (2, False)])
def test_damaged_content_is_looked_at_and_fetched_again_once(bench: Bench, damaged: int, ok: bool) -> None:
    checked: list[bool] = []
    left = [DamagedError("a file is damaged", ROW["digest"])] * damaged

    def far(step: Step, context: Context) -> Outputs:
        if left:
            raise left.pop()
        return text_of(step, context)

    bench.kinds.traits["far"] = Traits(content=lambda step: [ROW])
    bench.kinds.works["far"] = far
    bench.kinds.works["fetch"] = lambda step, context: checked.append(step.params.get("check", False)) or Outputs()
    bench.add("a", kind="far", goal=True)
    assert bench.build().ok is ok
    assert checked == [False, True]


def test_what_programs_of_this_host_made_goes_to_no_outer_cache(bench: Bench, tmp_path: Path) -> None:
    outer = Store(str(tmp_path / "outer"))
    bench.kinds.traits["host"] = Traits(shareable=False)
    bench.kinds.works["host"] = text_of
    bench.add("here", kind="host", goal=True)
    bench.add("anywhere", goal=True)
    build = bench.build(cache=StoreCache(outer.records))
    assert set(outer.records.keys()) == {build.outcomes["anywhere"].key}
    assert statuses(bench.build()) == {"here": Status.CACHED, "anywhere": Status.EXECUTED}


def test_a_record_of_another_form_or_kind_is_a_miss(bench: Bench) -> None:
    bench.add("a", goal=True)
    key = bench.build().outcomes["a"].key
    for change in ({"kind": "other/1"}, {"outputs": {"layers": [], "values": {"whole": 5}, "blobs": {}}}):
        store = Store(str(bench.store_root))
        store.records.put(key, {**(store.records.get(key) or {}), **change})
        store.close()
        assert statuses(bench.build()) == {"a": Status.EXECUTED}
