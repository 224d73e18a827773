"""The tables of keys: what they say of themselves, and what they make of a map."""

import pytest

from buildrules.azureml.assets import DataFile, InlineModel, ModelFile
from buildrules.azureml.connection import ConnectionKeys
from buildrules.azureml.deployment import BatchKeys, OnlineKeys
from buildrules.azureml.environment import EnvironmentFile
from buildrules.azureml.package import PackageKeys
from buildrules.azureml.table import Each, Key, LeftOut, Map, Nested
from buildrules.azureml.values import text, whole
from buildrules.document.problems import Problems
from buildrules.document.reader import parse

TABLES = (PackageKeys, EnvironmentFile, ModelFile, InlineModel, DataFile, OnlineKeys, BatchKeys, ConnectionKeys)


class Inner(Map):
    """A map in a list."""

    what = "a part"
    size = Key(whole(1, 9), becomes="width")


class Outer(Map):
    """A map with everything."""

    what = "a thing"
    the_name = Key(text, "old_name", needs="call it something")
    parts = Key(Each(Nested(Inner)))
    inner = Key(Nested(Inner))
    notes = LeftOut("nobody reads it", "note", "remark")


def read(content: str) -> tuple[Outer, list[str]]:
    node = parse("f.yml", content.encode(), Problems())
    assert node is not None
    problems = Problems()
    found = Outer(node, problems)
    return found, [f"{error.position}: {error.message}; {error.hint}" for error in problems.errors]


def below(rows: type[Map]) -> set[type[Map]]:
    inner = {row.below for row in rows.rows.values() if row.below is not None}
    return {rows}.union(*(below(one) for one in inner))


@pytest.mark.parametrize("rows", sorted(set().union(*map(below, TABLES)), key=lambda rows: rows.__qualname__))
def test_no_spelling_means_two_keys(rows: type[Map]) -> None:
    spellings = [spelled for row in rows.rows.values() for spelled in row.spellings]
    assert len(spellings) == len(set(spellings))
    assert all(row.name == name for name, row in rows.rows.items())


@pytest.mark.parametrize("key", ["the_name", "theName", "old_name", "oldName"])
def test_every_spelling_is_read(key: str) -> None:
    found, errors = read(f"{key}: x\n")
    assert (found.the_name, errors) == ("x", [])


def test_values_become_attributes_and_keys_are_left_out() -> None:
    found, errors = read("remark: 1\nthe_name: x\nparts: [{size: 2}]\ninner: {size: 3}\nnote: [a]\n")
    assert errors == []
    assert found.left_out() == [("remark", "nobody reads it"), ("note", "nobody reads it")]
    assert [part.size for part in found.parts or ()] == [2]
    assert found.attributes() == {"width": 3}
    assert (found.at("inner").line, found.key_at("inner").column, found.at("old")) == (4, 1, found.node)


def test_all_errors_come_at_once() -> None:
    found, errors = read("parts: [{size: 10}, 7, {sise: 1}]\ninner: 5\nzzz: 1\n")
    assert errors == [
        "f.yml:1:1: a thing needs 'the_name'; call it something",
        "f.yml:1:16: 'size': 10 is too large; the largest value is 9",
        "f.yml:1:21: a part must be a map, not '7'; None",
        "f.yml:1:25: a part has no attribute 'sise'; did you mean 'size'?",
        "f.yml:2:8: a part must be a map, not '5'; None",
        "f.yml:3:1: a thing has no attribute 'zzz'; attributes of a thing: inner, note, parts, remark, the_name",
    ]
    assert found.the_name is None and found.inner is not None and found.inner.size is None


def test_two_spellings_of_one_key_are_an_error() -> None:
    found, errors = read("the_name: x\noldName: y\n")
    assert errors == ["f.yml:2:1: 'oldName' and 'the_name' are two spellings of one attribute; leave one of them out"]
    assert found.the_name == "x"
    assert read("the_name: ~\noldName: y\n")[0].the_name == "y"


def test_what_was_probably_meant_is_not_missing_as_well() -> None:
    assert read("the_nam: x\n")[1] == ["f.yml:1:1: a thing has no attribute 'the_nam'; did you mean 'the_name'?"]
