"""The scheduler runs dependencies first, in parallel, heaviest path first, and survives failures."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.engine.scheduler import Scheduler


def run(deps, *, fail=(), jobs=3, keep_going=False, weights=None, work=None):
    nodes = list(deps)
    done, skipped = [], []
    lock = threading.Lock()

    def default(node, _worker):
        with lock:
            done.append(node)
        return node not in fail

    def working(node, worker):
        scheduler.more()
        return (work or default)(node, worker)

    scheduler = Scheduler(
        nodes,
        deps,
        weights or dict.fromkeys(nodes, 1.0),
        work=working,
        skip=skipped.append,
        jobs=jobs,
        keep_going=keep_going,
    )
    scheduler.run()
    return done, skipped


graphs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        *(st.sets(st.integers(0, max(0, node - 1)), max_size=3 if node else 0) for node in range(size))
    )
)


@given(graphs, st.integers(1, 5))
def test_everything_runs_once_and_after_what_it_needs(graph, jobs):
    deps = {str(node): [str(dep) for dep in below] for node, below in enumerate(graph)}
    done, skipped = run(deps, jobs=jobs)
    assert sorted(done) == sorted(deps)
    assert skipped == []
    for node, below in deps.items():
        assert all(done.index(dep) < done.index(node) for dep in below)


@given(graphs, st.data())
def test_with_keep_going_exactly_what_needs_a_failure_is_skipped(graph, data):
    deps = {str(node): [str(dep) for dep in below] for node, below in enumerate(graph)}
    fail = data.draw(st.sets(st.sampled_from(sorted(deps))))
    done, skipped = run(deps, fail=fail, keep_going=True)

    def doomed(node):
        return any(dep in fail or doomed(dep) for dep in deps[node])

    assert set(skipped) == {node for node in deps if doomed(node)}
    assert set(done) == set(deps) - set(skipped)


def test_without_keep_going_nothing_new_begins_after_a_failure():
    deps = {"a": [], "b": [], "c": [], "top": ["a"]}
    done, skipped = run(deps, fail={"a"}, jobs=1, weights={"a": 9.0, "b": 1.0, "c": 1.0, "top": 1.0})
    assert done == ["a"]
    assert skipped == ["top"]


def test_the_heaviest_path_goes_first():
    deps = {"light": [], "heavy": [], "top": ["heavy"]}
    done, _ = run(deps, jobs=1, weights={"light": 1.0, "heavy": 0.5, "top": 5.0})
    assert done[0] == "heavy"


def test_independent_nodes_run_at_the_same_time():
    barrier = threading.Barrier(3, timeout=10)

    def work(_node, _worker):
        barrier.wait()
        return True

    run({"a": [], "b": [], "c": []}, jobs=3, work=work)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_work_raises_is_raised_after_the_workers_came_to_rest(error):
    running = []

    def work(node, _worker):
        running.append(node)
        if node == "bad":
            raise error
        return True

    with pytest.raises(error):
        run({"bad": [], "good": [], "top": ["bad"]}, work=work)
    assert "top" not in running


def test_who_waits_elsewhere_takes_no_turn():
    """With one job, the second node goes on while the first waits for somebody else, and no sooner."""
    second = threading.Event()

    def work(node, _worker):
        if node == "b":
            second.set()
            return True
        scheduler.more()
        assert not second.wait(0.05)
        with scheduler.waiting_for_servers():
            return second.wait(10)

    skipped = []
    nodes = {"a": 2.0, "b": 1.0}
    scheduler = Scheduler(list(nodes), {"a": [], "b": []}, nodes, work=work, skip=skipped.append, jobs=1)
    scheduler.run()
    assert second.is_set() and not skipped
