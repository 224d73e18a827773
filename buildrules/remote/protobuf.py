"""Messages of protocol buffers by tables: what `remote.reapi` needs of them, without generated code or a library.

Source: "Encoding", protobuf.dev/programming-guides/encoding, for version 3 of the language. A message is a dictionary,
and its table says of each field the number and the kind. What is not in the table is skipped when reading.
"""

from collections.abc import Iterator, Mapping

from buildrules.typed import Any, NamedTuple

NUMBER = "number"  # int32, int64, enum and bool, which are the same on the wire
TEXT = "text"
BYTES = "bytes"
_EMPTY: Mapping[str, Any] = {NUMBER: 0, TEXT: "", BYTES: b""}

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_64 = 1 << 64


class Field(NamedTuple):
    """A field of a message: `kind` is NUMBER, TEXT, BYTES or the table of a message, `many` says that it repeats."""

    number: int
    kind: "str | Table"
    many: bool = False


Table = Mapping[str, Field]


def encode(table: Table, message: Mapping[str, Any]) -> bytes:
    """The bytes of a message, its fields by their numbers. What is missing, None or empty is not sent."""
    parts: list[bytes] = []
    for name, (number, kind, many) in sorted(table.items(), key=lambda row: row[1].number):
        value = message.get(name)
        if kind == NUMBER and not many:
            parts += (_varint(number << 3 | _VARINT), _varint(value)) if value else ()
            continue
        if kind == NUMBER:
            runs = [b"".join(map(_varint, value))] if value else []
        elif many:
            runs = [_plain(kind, one) for one in value or ()]
        else:
            runs = [] if value is None or value in ("", b"") else [_plain(kind, value)]
        for run in runs:
            parts += (_varint(number << 3 | _LENGTH), _varint(len(run)), run)
    return b"".join(parts)


def decode(table: Table, data: bytes) -> dict[str, Any]:
    """The message, with every field of the table: empty where it was not sent, None where that is a message.

    Raises ValueError for what is no such message.
    """
    found: dict[str, Any] = {
        name: [] if many else _EMPTY[kind] if isinstance(kind, str) else None for name, (_, kind, many) in table.items()
    }
    names = {field.number: name for name, field in table.items()}
    pieces: dict[str, bytes] = {}  # of a message that does not repeat: what comes later is merged into it
    for number, value in _fields(data):
        name = names.get(number)
        if name is None:
            continue
        _, kind, many = table[name]
        if kind == NUMBER and isinstance(value, bytes) and many:
            found[name] += _numbers(value)
        elif isinstance(value, bytes) == (kind == NUMBER):
            raise ValueError(f"field {number} of a message is of another type")
        elif many:
            found[name].append(_read(kind, value))
        elif isinstance(kind, str):
            found[name] = _read(kind, value)
        else:
            pieces[name] = pieces.get(name, b"") + value  # type: ignore[operator] # it is no number
    return found | {name: _read(table[name].kind, piece) for name, piece in pieces.items()}


def _plain(kind: str | Table, value: Any) -> bytes:
    if isinstance(kind, str):
        return value.encode() if kind == TEXT else value  # type: ignore[no-any-return]
    return encode(kind, value)


def _read(kind: str | Table, value: Any) -> Any:
    if not isinstance(kind, str):
        return decode(kind, value)
    return value.decode() if kind == TEXT else value


def _varint(value: int) -> bytes:
    value %= _64
    if value < 0x80:
        return bytes((value,))
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, modulo 2**64, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value % _64, at
    raise ValueError("a number of a message has no end")


def _signed(value: int) -> int:
    return value - _64 if value >> 63 else value


def _numbers(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint_at(data, at)
        yield _signed(value)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbers of fields, and what they hold as it was sent; those of fixed length are bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint_at(data, at)
        number, form = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field of a message has the number 0")
        if form == _VARINT:
            value, at = _varint_at(data, at)
            yield number, _signed(value)
            continue
        if form not in (_FIXED64, _LENGTH, _FIXED32):
            raise ValueError(f"field {number} of a message has the unknown form {form}")
        length, at = _varint_at(data, at) if form == _LENGTH else (8 if form == _FIXED64 else 4, at)
        if length > len(data) - at:
            raise ValueError(f"field {number} of a message is cut off")
        yield number, data[at : at + length]
        at += length
