"""What a pickle says of itself, read opcode by opcode: nothing is ever unpickled.

scikit-learn's estimators carry `_sklearn_version`. joblib writes arrays as raw bytes between the opcodes, so the walk
ends at the first one; the versions are found by their name, and decoded from the opcodes that follow it. XGBoost's
models hold `version`, three numbers, as JSON or UBJSON (XGBoost documentation, "Introduction to Model IO").
"""

import io
from collections.abc import Callable

from buildrules.lints.drift import BINARY_XGBOOST, words_in
from buildrules.oci.chunks import XZ_MEMORY
from buildrules.typed import BinaryIO, NamedTuple

HEAD = 4 << 20
TAIL = 1 << 20
"""Of a larger file, so many bytes at its beginning and end are looked at."""

_OPCODES = 100_000
_PLACES = 1000  # at which a version may be said to stand elsewhere
_SKLEARN = b"_sklearn_version"
_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_GETS = ("BINGET", "LONG_BINGET", "GET")
_PUTS = ("BINPUT", "LONG_BINPUT", "PUT")


class Pickled(NamedTuple):
    """`versions` of libraries by distribution; `modules` that it needs; what it names of the table of `lints.drift`."""

    versions: dict[str, str]
    modules: frozenset[str]
    words: frozenset[str] = frozenset()


def read_pickle(file: BinaryIO, size: int) -> Pickled | None:
    """What the file, of `size` bytes, says of the libraries it was made with; None if it is no pickle or model."""
    head = file.read(HEAD)
    tail = b""
    if size > HEAD:
        file.seek(max(HEAD, size - TAIL))
        tail = file.read(TAIL)
    inflated = _inflated(head + tail if size <= HEAD + TAIL else head)
    if inflated is not None:
        head, tail = inflated, b""
    pickle = head[:1] == b"\x80" and 2 <= head[1:2][0] <= 5 if len(head) > 1 else False
    old = head[:2] in (b"cc", b"c_", b"(d", b"(l", b"(i") or head[:8] == b"ccopy_re"
    if head.startswith(BINARY_XGBOOST.encode()):
        return Pickled({}, frozenset(), frozenset((BINARY_XGBOOST,)))
    model = b"learner" in head[:4096] and b"version" in head + tail
    if not (pickle or old or model):
        return None
    versions = {}
    for content in (head, tail):
        version = _sklearn(content)
        if version:
            versions["scikit-learn"] = version
        version = _xgboost(content)
        if version:
            versions["xgboost"] = version
    if not (pickle or old):
        return Pickled(versions, frozenset())
    return Pickled(versions, frozenset(_modules(head)), words_in(head) | words_in(tail))


def _inflated(data: bytes) -> bytes | None:
    """What is in a compressed file (joblib's `compress`), as far as its first bytes go; None for any other file."""
    import bz2
    import lzma
    import zlib

    openers: tuple[tuple[bytes, Callable[[], object]], ...] = (
        (b"x\x01", zlib.decompressobj),
        (b"x\x5e", zlib.decompressobj),
        (b"x\x9c", zlib.decompressobj),
        (b"x\xda", zlib.decompressobj),
        (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
        (b"BZh", bz2.BZ2Decompressor),
        (b"\xfd7zXZ", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)),
        (b"\x5d\x00\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, XZ_MEMORY)),
    )
    for magic, opener in openers:
        if data.startswith(magic):
            try:
                found: bytes = opener().decompress(data, 16 * HEAD)  # type: ignore[attr-defined]
            except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
                return None
            return found
    return None


def _sklearn(content: bytes) -> str | None:
    """The last version that is written out: the outermost estimator's, whose state is the last to be finished."""
    import pickletools

    place = content.rfind(_SKLEARN)
    for _ in range(_PLACES):
        if place < 0:
            break
        rest = content[place + len(_SKLEARN) : place + len(_SKLEARN) + 64].lstrip(b"\n")
        try:
            for opcode, argument, _ in pickletools.genops(io.BytesIO(rest)):
                if opcode.name in _TEXTS and isinstance(argument, str):
                    return argument if argument[:1].isdigit() else None
                if opcode.name not in ("MEMOIZE", *_PUTS):
                    break  # a version that stands elsewhere already, taken from the memo
        except (ValueError, IndexError):
            pass
        place = content.rfind(_SKLEARN, 0, place)
    return None


def _xgboost(content: bytes) -> str | None:
    import re

    if b"learner" not in content and b"xgboost" not in content:
        return None
    match = re.search(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]', content)
    if match:
        return ".".join(number.decode() for number in match.groups())
    place = content.rfind(b"version[")
    numbers = _ubjson(content[place + len(b"version[") : place + 64]) if place >= 0 else []
    return ".".join(map(str, numbers)) if len(numbers) == 3 else None


def _ubjson(data: bytes) -> list[int]:
    """The numbers of a UBJSON array, behind its bracket (UBJSON specification, "Container Types")."""
    sizes = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}
    numbers: list[int] = []
    place = 0
    kind = None
    if data[:1] == b"$":
        kind = data[1:2]
        place = 2
    if data[place : place + 1] == b"#":
        place += 2 + sizes.get(data[place + 1 : place + 2], 0)
    while len(numbers) < 3:
        this = kind or data[place : place + 1]
        place += 0 if kind else 1
        if this not in sizes or place + sizes[this] > len(data):
            break
        numbers.append(int.from_bytes(data[place : place + sizes[this]], "big"))
        place += sizes[this]
    return numbers


def _modules(content: bytes) -> set[str]:
    """The modules whose names the opcodes load, up to what is no opcode."""
    import pickletools

    found: set[str] = set()
    memo: dict[int, str | None] = {}
    texts: list[str | None] = []
    last: str | None = None
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
            name = opcode.name
            if name in _TEXTS or name in _GETS:
                last = argument if name in _TEXTS else memo.get(int(argument))  # type: ignore[arg-type]
                texts = [*texts[-1:], last]
            elif name == "MEMOIZE":
                memo[len(memo)] = last
            elif name in _PUTS:
                memo[int(argument)] = last  # type: ignore[arg-type]
            elif name == "GLOBAL":
                found.add(str(argument).partition(" ")[0])
                last = None
            elif name == "STACK_GLOBAL":
                found.update(text for text in texts[:1] if text)
                last = None
            else:
                last = None
            if number > _OPCODES:
                break
    except (ValueError, IndexError, OverflowError, MemoryError):
        pass  # the first raw array of joblib
    return found
