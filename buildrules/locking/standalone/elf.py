"""What a program asks its loader for: the dynamic section of a 64-bit little-endian ELF file (elf(5))."""

import struct

_LOAD, _DYNAMIC = 1, 2  # p_type
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29  # d_tag


def needed(data: bytes) -> tuple[list[str], list[str]]:
    """The libraries that the program `data` needs, and the folders that it says to look in; none where it has no
    dynamic section, or none that can be read.
    """
    try:
        return _needed(data)
    except (struct.error, ValueError):
        return [], []


def _needed(data: bytes) -> tuple[list[str], list[str]]:
    (start,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    heads = [struct.unpack_from("<IIQQQQ", data, start + size * number) for number in range(count)]
    loads = [(at, offset, length) for kind, _, offset, at, _, length in heads if kind == _LOAD]
    rows: list[tuple[int, int]] = []
    for kind, _, offset, _, _, length in heads:
        if kind == _DYNAMIC:
            rows += struct.iter_unpack("<QQ", data[offset : offset + length // 16 * 16])
    table = next((value for tag, value in rows if tag == _STRINGS), 0)
    strings = next((table - at + offset for at, offset, length in loads if at <= table < at + length), None)
    if strings is None:
        return [], []

    def text(value: int) -> str:
        begin = strings + value
        return data[begin : data.index(b"\0", begin)].decode("utf-8", "replace")

    folders = [folder for tag, value in rows if tag in (_RPATH, _RUNPATH) for folder in text(value).split(":")]
    return [text(value) for tag, value in rows if tag == _NEEDED], folders
