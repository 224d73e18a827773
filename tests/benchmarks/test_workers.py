"""The simulation of an execution engine: the same numbers give the same figures, and what must be true of them is."""

from collections.abc import Sequence

from benchmarks.company import Assumptions, Company
from benchmarks.workers import DAY, Engine, Fleet, Job, Storage, Task, jobs_of, rows

SMALL = Assumptions(models=60, developers=6, environments=10, developer_builds=5, changes=10, checks=3, renewed=1)


def handed(days: int = 3, said: Engine | None = None) -> tuple[list[Job], Storage]:
    storage = Storage()
    return list(jobs_of(Company(SMALL, 1), said or Engine(), days, storage)), storage


def test_the_same_numbers_give_the_same_figures() -> None:
    said = Engine()
    found = []
    for _ in range(2):
        jobs, storage = handed()
        found.append(rows(said, Fleet(said, 2).run(jobs), storage, 2, 3))
    assert found[0] == found[1]


def test_every_task_is_run_once_and_in_order() -> None:
    jobs, _ = handed()
    tasks = sum(len(phase) for job in jobs for phase in job.phases)
    for workers in (1, 8):
        assert sum(Fleet(Engine(), workers).run(jobs).tasks.values()) == tasks


def test_more_workers_wait_less_until_the_storage_gives_no_more() -> None:
    jobs, _ = handed(said=Engine(heaviest=10**12))
    few, many = (Fleet(Engine(), workers).run(jobs) for workers in (1, 16))
    assert sum(wait for _, wait in few.waits) > sum(wait for _, wait in many.waits)
    assert few.rebased > many.rebased > 0
    narrow = Engine(uplink=10**6)
    assert Fleet(narrow, 16).run(jobs).rebased > many.rebased


def job_of(count: int, seconds: float, content: Sequence[tuple[object, int]] = ()) -> Job:
    return Job(DAY, [[Task(seconds, content)] * count])


def test_a_command_has_so_many_tasks_under_way_and_the_rest_are_not_waiting() -> None:
    fleet = Fleet(Engine(overhead=0, slots=2), 1).run([job_of(4, 10.0)])
    assert [wait for _, wait in fleet.waits] == [0, 10, 10, 10]


def test_a_machine_fetches_once_what_has_room() -> None:
    said = Engine(overhead=0, machine=2, room=100)
    job = job_of(3, 1.0, [("layer", 60), ("other", 30)])
    assert Fleet(said, 2).run([job]).fetched.total() == 90
    assert Fleet(said, 3).run([job]).fetched.total() == 180
    large = Job(DAY, [[Task(1.0, [("layer", 60)]), Task(1.0, [("other", 50)]), Task(1.0, [("layer", 60)])]])
    assert Fleet(said, 1).run([large]).fetched.total() == 170


def test_what_is_made_there_is_not_sent_and_what_is_too_large_stays() -> None:
    jobs, storage = handed()
    made = {what for job in jobs for phase in job.phases for task in phase for what, _ in task.makes}
    assert made <= storage.there.keys()
    assert storage.sent.total() == sum(size for what, size in storage.there.items() if what not in made)
    _, none = handed(said=Engine(heaviest=0))
    assert none.stayed > storage.stayed
