"""What goes from a place never leaves a record that names what is not there."""

from collections.abc import Collection, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from buildrules.remote.backend import Entry
from buildrules.remote.expiry import Doomed, Names, by_age, by_size

DIGESTS = [f"sha256:{number:064x}" for number in range(8)]
Shelf = tuple[list[Entry], dict[str, set[str]]]


@st.composite
def shelves(draw: st.DrawFn) -> Shelf:
    """A place whose records name only what is there."""
    there = draw(st.lists(st.sampled_from(DIGESTS), unique=True))
    content = [Entry("content", digest, draw(st.integers(0, 100)), draw(st.integers(0, 100))) for digest in there]
    count = draw(st.integers(0, 6))
    records = [Entry("record", f"{n:064x}", draw(st.integers(1, 10)), draw(st.integers(0, 100))) for n in range(count)]
    named = {one.name: set(draw(st.lists(st.sampled_from(there)) if there else st.just([]))) for one in records}
    return draw(st.permutations([*content, *records])), named


def check(shelf: Shelf, doomed: Doomed) -> list[Entry]:
    """What is left, at whatever moment the removal is broken off."""
    entries, named = shelf
    left = list(entries)
    for entry in (*doomed.records, *doomed.content):
        left.remove(entry)
        there = {one.name for one in left if one.kind == "content"}
        assert all(named[one.name] <= there for one in left if one.kind == "record")
    return left


def asked(shelf: Shelf) -> tuple[list[str], Names]:
    read: list[str] = []

    def names(entries: Sequence[Entry]) -> Mapping[str, Collection[str]]:
        read.extend(entry.name for entry in entries)
        return {entry.name: shelf[1][entry.name] for entry in entries}

    return read, names


@given(shelf=shelves(), records=st.integers(0, 101), content=st.integers(0, 101))
def test_by_age(shelf: Shelf, records: int, content: int) -> None:
    read, names = asked(shelf)
    left = check(shelf, by_age(shelf[0], names, records_before=records, content_before=content))
    for entry in shelf[0]:
        if entry.kind == "record":
            assert (entry in left) == (entry.written >= records) == (entry.name in read)
        else:
            used = any(entry.name in shelf[1][one.name] for one in left if one.kind == "record")
            assert (entry in left) == (used or entry.written >= content)


@given(shelf=shelves(), low=st.integers(0, 600), content=st.integers(0, 101))
def test_by_size(shelf: Shelf, low: int, content: int) -> None:
    left = check(shelf, by_size(shelf[0], asked(shelf)[1], low=low, content_before=content))
    records = [entry for entry in left if entry.kind == "record"]
    gone = [entry for entry in shelf[0] if entry not in left]
    size = sum(entry.size for entry in left)
    assert size <= low or (not records and all(one.written >= content for one in left)), "more could have gone"
    assert all(entry.written < content for entry in gone if entry.kind == "content")
    oldest = max((entry.written for entry in gone if entry.kind == "record"), default=-1)
    assert all(entry.written >= oldest for entry in records)
    if sum(entry.size for entry in shelf[0]) <= low:
        assert gone == []


@given(shelf=shelves(), new=st.lists(st.sampled_from(DIGESTS)))
def test_what_was_written_meanwhile_stays(shelf: Shelf, new: list[str]) -> None:
    doomed = by_size(shelf[0], asked(shelf)[1], low=0, content_before=101)
    replaced = [entry.name for entry in doomed.records][:1]
    kept = doomed.without({"f" * 64: new, **dict.fromkeys(replaced, ())})
    assert not {entry.name for entry in kept.content} & set(new)
    assert [entry.name for entry in kept.records] == [entry.name for entry in doomed.records][1:]
