"""The files of a state: what is written is read, and what is damaged, torn or somebody else's is not there."""

import marshal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.state import reader, writer
from buildrules.state.location import store_root
from buildrules.state.reader import Damaged, State, open_state
from buildrules.state.writer import Base, Entry, GroupRow, append, compact, joined, watch, write_base

ME = b"me"
ALL, ONE = ("", "build", "//..."), ("", "build", "//one")


def group(directory: str, *names: str, actions: tuple[int, ...] = ()) -> GroupRow:
    paths = joined(f"{directory}/{name}".encode() for name in names)
    return GroupRow(paths, len(names), marshal.dumps(((directory, {}, {}, None, None), actions, len(names), 0)))


def head(words: tuple[str, ...], groups: Any, goals: tuple[int, ...]) -> bytes:
    pieces = [f"goal {goal}\n" for goal in goals]
    return marshal.dumps((words, groups, goals, (), pieces, ("", "", "done in "), ()))


def base() -> Base:
    groups = [group("one", "a", "b", actions=(0,)), group("two", "c", actions=(1,))]
    requests = [
        (reader.key_of(ALL), head(ALL, None, (2, 3)), marshal.dumps({"all": 1})),
        (reader.key_of(ONE), head(ONE, watch([0], groups), (2,)), marshal.dumps({"one": [1, None, 2.5]})),
    ]
    links = [marshal.dumps(pair) for pair in (((), (2,)), ((), (3,)), ((0,), ()), ((1,), ()))]
    return Base(groups, links, [marshal.dumps((f"action {number}",)) for number in range(4)], requests)


def write(path: Path) -> State:
    write_base(str(path), ME, base())
    state = open_state(str(path), ME)
    assert state is not None
    return state


def entry(number: int = 7, **more: Any) -> Entry:
    plain = Entry(
        {0: (number, b"one/a\0", base().groups[0].record, ())}, {}, ((), ()), (), (reader.key_of(ONE), ()), {}
    )
    return plain._replace(**more)


def everything(path: Path) -> Any:
    """All that a state says; None where it says nothing. Raises Damaged."""
    state = open_state(str(path))
    if state is None:
        return None
    requests = [(request.head(), state.rest(request)) for request in state.requests()]
    whole = writer.whole(state)
    return whole, requests, state.stale, [state.request(words) is not None for words in (ALL, ONE)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    state = write(tmp_path / "s")
    request = state.request(ALL)
    assert request is not None
    assert request.answer(1.5) == "goal 2\ngoal 3\ndone in 1.50 s\n"
    assert state.rest(request) == {"all": 1}
    assert state.group(1) == (("two", {}, {}, None, None), (1,))
    assert (state.links(0), state.action(3)) == (((), (2,)), ("action 3",))
    assert writer.whole(state)._replace(requests=()) == base()._replace(requests=())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "s"]


def test_a_state_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "s")
    assert open_state(str(tmp_path / "s"), b"you") is None
    assert open_state(str(tmp_path / "none"), ME) is None
    assert open_state(str(tmp_path / "s")) is not None


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_bit_says_something_else(tmp_path_factory: pytest.TempPathFactory, place: float, bit: int) -> None:
    path = tmp_path_factory.mktemp("damage") / "s"
    write(path)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        found = everything(path)
    except Damaged:
        return
    assert found is None


@given(length=st.integers(0, 2000), extra=st.binary(max_size=4))
def test_no_other_length_is_read(tmp_path_factory: pytest.TempPathFactory, length: int, extra: bytes) -> None:
    path = tmp_path_factory.mktemp("damage") / "s"
    write(path)
    data = path.read_bytes()
    changed = data[:length] + extra
    path.write_bytes(changed)
    if len(changed) != len(data):
        assert open_state(str(path)) is None


def test_a_place_that_cannot_be_written_raises_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write_base(str(tmp_path / "file" / "s"), ME, base())


# -- the journal ------------------------------------------------------------------------------------------------------


def test_entries_of_the_journal_change_what_the_base_says(tmp_path: Path) -> None:
    state = write(tmp_path / "s")
    record = marshal.dumps((("new", {}, {}, None, None), (0,), 8, 0))
    assert append(
        state,
        entry(
            groups={0: (7, b"one/a\0", base().groups[0].record, ()), 2: (8, b"new/x\0", record, (0,))},
            actions={0: marshal.dumps(("other",))},
            stale=((3,), ()),
            ran=(2,),
            told=(reader.key_of(ONE), (2,)),
            patch={0: "other\n", -1: ("", "", "later ")},
        ),
    )
    for _ in range(2):
        again = open_state(str(tmp_path / "s"), ME)
        assert again is not None
        one, whole = again.request(ONE), again.request(ALL)
        assert one is not None and whole is not None
        assert one.answer(0) == "other\nlater 0.00 s\n"
        assert (one.holds(again.stale), one.outdated) == (True, ())
        assert (whole.holds(again.stale), whole.outdated) == (False, (2,)), "another command line built a goal of it"
        assert again.watched(one) == (0, 2), "what a new group came beside watches it as well"
        assert (again.group_count, again.group(2)[1], again.action(0)) == (3, (0,), ("other",))
        assert again.stale == {3}
        compact(again, ME)
        assert not (tmp_path / "s.journal").exists()
    assert append(again, entry()) is False, "the base is a new one"


def test_a_goal_that_was_printed_since_is_not_outdated(tmp_path: Path) -> None:
    state = write(tmp_path / "s")
    assert append(state, entry(ran=(2,)))
    for words, expected in ((ONE, True), (ALL, True)):
        request = state_of(tmp_path).request(words)
        assert request is not None and bool(request.outdated) is expected
    assert append(state, entry(told=(reader.key_of(ALL), (2,))))
    for words, expected in ((ONE, True), (ALL, False)):
        request = state_of(tmp_path).request(words)
        assert request is not None and bool(request.outdated) is expected


def state_of(folder: Path) -> State:
    state = open_state(str(folder / "s"), ME)
    assert state is not None
    return state


@given(cut=st.integers(1, 60), garbage=st.binary(max_size=20))
def test_a_torn_entry_hides_nothing_that_comes_after(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    first = write(folder / "s")
    assert append(first, entry(1))
    assert append(first, entry(2))
    journal = folder / "s.journal"
    journal.write_bytes(journal.read_bytes()[:-cut] + garbage)
    second = state_of(folder)
    assert second.group_changes[0].number == 1
    assert append(second, entry(3))
    assert state_of(folder).group_changes[0].number == 3


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_damage_of_the_journal_loses_what_comes_after_it(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    state = write(folder / "s")
    for number in (11, 12, 13):
        assert append(state, entry(number))
    data = bytearray((folder / "s.journal").read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    (folder / "s.journal").write_bytes(data)
    change = state_of(folder).group_changes.get(0)
    assert change is None or change.number in (11, 12)


def test_an_old_journal_is_not_one_of_a_new_base(tmp_path: Path) -> None:
    append(write(tmp_path / "s"), entry())
    journal = (tmp_path / "s.journal").read_bytes()
    write(tmp_path / "s")
    (tmp_path / "s.journal").write_bytes(journal)
    assert state_of(tmp_path).group_changes == {}
    assert append(state_of(tmp_path), entry(9))
    assert state_of(tmp_path).group_changes[0].number == 9


def test_of_two_commands_the_second_keeps_nothing(tmp_path: Path) -> None:
    first, second = write(tmp_path / "s"), state_of(tmp_path)
    assert append(first, entry(1))
    assert not append(second, entry(2))
    assert append(first, entry(3))
    third, fourth = state_of(tmp_path), state_of(tmp_path)
    assert append(third, entry(4))
    assert not append(fourth, entry(5))
    assert state_of(tmp_path).group_changes[0].number == 4


def test_one_target_reads_no_more_of_a_larger_state(tmp_path: Path) -> None:
    reads = []
    for count in (10, 1000):
        groups = [group(f"p{number}", "a", actions=(number,)) for number in range(count)]
        requests = [(reader.key_of(ONE), head(ONE, watch([1], groups), (1,)), b"N")]
        links = [marshal.dumps(((), ()))] * count
        write_base(str(tmp_path / "s"), ME, Base(groups, links, [b"N"] * count, requests))
        state = state_of(tmp_path)
        request = state.request(ONE)
        assert request is not None
        state.changed(request, "")
        state.group(1)
        reads.append((state.reads, state.bytes_read))
    assert reads[0] == reads[1]


def test_the_store_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("BUILDRULES_CACHE_DIR", raising=False)
    assert store_root() == "/home/u/.cache/buildrules"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert store_root() == "/x/buildrules"
    monkeypatch.setenv("BUILDRULES_CACHE_DIR", "~/s")
    assert store_root() == "/home/u/s"
