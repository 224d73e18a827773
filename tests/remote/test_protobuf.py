"""Messages by tables, against the library of protocol buffers: whatever one writes, the other one reads."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from buildrules.remote.protobuf import BYTES, NUMBER, TEXT, Field, Table, decode, encode

INNER: Table = {"hash": Field(1, TEXT), "size": Field(2, NUMBER)}
TABLE: Table = {
    "text": Field(1, TEXT),
    "number": Field(2, NUMBER),
    "data": Field(10, BYTES),
    "inner": Field(3, INNER),
    "texts": Field(4, TEXT, many=True),
    "numbers": Field(5, NUMBER, many=True),
    "inners": Field(600, INNER, many=True),
}
KINDS = {TEXT: "TYPE_STRING", NUMBER: "TYPE_INT64", BYTES: "TYPE_BYTES"}


def _describe(form: descriptor_pb2.DescriptorProto, table: Table) -> None:
    for name, (number, kind, many) in table.items():
        field = form.field.add(name=name, number=number, label="LABEL_REPEATED" if many else "LABEL_OPTIONAL")
        field.type = KINDS[kind] if isinstance(kind, str) else "TYPE_MESSAGE"
        if not isinstance(kind, str):
            field.type_name = ".test.Inner"


def _library() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    for name, table in (("Inner", INNER), ("Outer", TABLE)):
        _describe(file.message_type.add(name=name), table)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Outer"))


Outer = _library()
numbers = st.integers(-(1 << 63), (1 << 63) - 1)
inners = st.fixed_dictionaries({"hash": st.text(), "size": numbers})
messages = st.fixed_dictionaries(
    {
        "text": st.text(),
        "number": numbers,
        "data": st.binary(max_size=300),
        "inner": st.none() | inners,
        "texts": st.lists(st.text()),
        "numbers": st.lists(numbers),
        "inners": st.lists(inners),
    }
)


@given(messages)
def test_what_is_written_the_library_reads_and_the_other_way_round(message: dict[str, object]) -> None:
    data = encode(TABLE, message)
    theirs = Outer(**message)
    assert Outer.FromString(data) == theirs
    assert decode(TABLE, theirs.SerializeToString()) == message
    assert decode(TABLE, data) == message


@given(messages, messages)
def test_two_messages_one_after_the_other_are_merged_as_the_library_does(
    one: dict[str, object], two: dict[str, object]
) -> None:
    data = encode(TABLE, one) + encode(TABLE, two)
    assert decode(TABLE, data) == decode(TABLE, Outer.FromString(data).SerializeToString())


@given(messages)
def test_fields_that_are_not_in_the_table_are_skipped(message: dict[str, object]) -> None:
    assert decode({"number": TABLE["number"]}, encode(TABLE, message)) == {"number": message["number"]}


@given(st.binary(max_size=100))
def test_what_the_library_does_not_read_is_refused(data: bytes) -> None:
    try:
        read = decode(TABLE, data)
    except ValueError:
        return
    try:
        theirs = Outer.FromString(data)
    except Exception:  # noqa: BLE001 - stricter: names of what is skipped
        return
    assert read == decode(TABLE, theirs.SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # no length
        b"\x0a\x05ab",  # cut off
        b"\x0a\x02\xff\xfe",  # no text
        b"\x10" + b"\xff" * 11,  # a number without an end
        b"\x0b",  # a group
        b"\x02\x00",  # the field 0
        b"\x08\x01",  # a number where a text must be
        b"\x12\x01a",  # a text where a number must be
        b"\x0a" + b"\xff" * 9 + b"\x01",  # longer than everything
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(TABLE, data)
