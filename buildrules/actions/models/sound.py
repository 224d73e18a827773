"""Whether the files of a model are what their names promise: not pointers, error pages, or cut off.

A look at the first bytes of files that may be wrong, and at the outline of formats that say how long they are. What
no reader of the format could read is an error; what a format does not say is not guessed.
"""

import io
import math
import os
import re
from collections.abc import Collection, Iterator, Sequence

from buildrules.actions.models.pointers import LONGEST, pointer_of
from buildrules.engine.action import SourceFile
from buildrules.errors import ActionError
from buildrules.oci.local import Local
from buildrules.typed import BinaryIO

_WEIGHTS = re.compile(
    r".*\.(?:bin|cbm|ckpt|engine|gguf|ggml|h5|hdf5|joblib|keras|mar|mlmodel|model|msgpack|npy|npz|onnx|params|pb|pdiparams"
    r"|parquet|pickle|pkl|plan|pt|pth|safetensors|tflite|ubj|weights|zip)",
    re.IGNORECASE | re.DOTALL,
)
"""Endings of files that hold numbers: never empty, and never a page."""
_HALF = re.compile(
    rf".*\.(?:incomplete|crdownload|aria2)|{_WEIGHTS.pattern}\.(?:download|part|partial|tmp)", _WEIGHTS.flags
)
"""What programs that download call a file until it is whole."""

_PAGE = re.compile(rb"\s*(?:<!doctype\s+html|<html[\s>]|(?:<\?xml[^>]*>\s*)?<error[\s>])", re.IGNORECASE)
"""How the page begins that a server sends instead of a file; object stores send `<Error>`."""
_REFUSAL = re.compile(
    rb"\s*(?:\{\s*\"(?:errors?|error_code|message|detail|status_?code)\"\s*:"
    rb"|(?:(?:[45]\d\d:?|entry|repository|file) )?(?:not found|forbidden|unauthorized|access denied|too many requests"
    rb"|bad gateway|service unavailable|internal server error|gateway time-?out))",
    re.IGNORECASE,
)
"""The same of servers that answer programs."""
_PAGES = (".html", ".htm", ".xhtml", ".xml", ".svg")
_BOM = b"\xef\xbb\xbf"
_CRYPT = b"\0GITCRYPT\0"

_HEADER = 100_000_000  # bytes that the header of a safetensors file may have (safetensors, "Format")
_ENDS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d{1,20}\s*,\s*(\d{1,20})\s*\]')
_HDF5 = b"\x89HDF\r\n\x1a\n"
_GGUF = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value, by its kind
_PICKLED = {b"\x95": 8, b"\x8d": 8, b"\x8e": 8, b"\x96": 8, b"B": 4, b"X": 4, b"\x94": 0}
"""A frame, what is too long for one, and what is too short: bytes of the length behind the opcode."""
_PICKLES = (".joblib", ".pickle", ".pkl")
_FIXED = {0: 0, 1: 8, 2: 0, 5: 4}  # bytes behind the tag and the number of a field, by the kind of field
_FIELDS = 10_000  # of a model that are looked at
_ONNX = b"\x08"  # ModelProto's first field, ir_version, as all writers begin
_BLANK = (".gguf", ".h5", ".hdf5", ".keras", ".mar", ".npy", ".npz", ".onnx", ".parquet", ".zip", *_PICKLES)
"""Endings of formats that no file of zeros is of: a full disk, or a machine that stopped, leaves such files."""
_SHARD = re.compile(rb'"([^"\\]+\.(?:safetensors|bin|h5|msgpack))"\s*[,}]')
_BESIDE = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])(.{1,127})", re.DOTALL)
"""An entry of TensorProto.external_data (onnx.proto3) and what follows: the key, and length and text of the value."""
_FLAVOURS = re.compile(rb"^flavors:\s*\n((?: .*\n?|\n)*)", re.MULTILINE)
_LOADED = re.compile(
    rb"^ {4}(?:pickled_model|python_model|model_data|model_path|data): *(?!null\b)([\w][\w./-]*)\s*$", re.MULTILINE
)
"""In MLmodel its flavours, and a line of one that names the file or folder it loads (`mlflow.models.Model.to_dict`)."""
_OUTLINE = 64 << 20  # bytes of a file that may say which others belong to it


def check_sound(files: Sequence[SourceFile], local: Local, what: str) -> None:
    """Look at the files of a model or input, which `local` has; `what` names the whole.

    Raises ActionError for the first file that cannot be what it should be, and where none has any content.
    """
    named = [file for file in files if not file.name.rpartition("/")[2].startswith(".")]
    if named and not any(file.size for file in files):
        raise _error(named[0], f"is empty, and the {what} has nothing else", "put the file itself there")
    names = {file.name for file in files}
    for file in files:
        if _HALF.fullmatch(file.name):
            raise _error(file, "is a download that did not end", "fetch it again")
        known = _WEIGHTS.fullmatch(file.name) or file.name.endswith(".json")
        if known or file.size <= LONGEST or len(files) == 1:
            try:
                _check(file, local.path(file.digest), alone=len(files) == 1)
                _check_parts(file, local.path(file.digest), names)
            except OSError as error:
                raise ActionError(f"cannot read {_shown(file)!r}: {error.strerror}") from error


def _check(file: SourceFile, path: str, *, alone: bool) -> None:
    ending = os.path.splitext(file.name)[1].lower()
    holds_numbers = _WEIGHTS.fullmatch(file.name) is not None
    if not file.size:
        if holds_numbers:
            raise _error(file, "is empty", "make or fetch it again")
        return
    with open(path, "rb", buffering=0) as content:
        head = content.read(LONGEST)
        pointer = pointer_of(_shown(file), head) if file.size <= LONGEST else None
        if pointer is not None:
            way_out = f"run `{pointer.command}`" if file.path else "put the file itself there, and lock the model again"
            raise _error(file, f"is a pointer of {pointer.tool}, not the file itself", way_out)
        if head.startswith(_CRYPT):
            raise _error(file, "is still encrypted by git-crypt", "run `git-crypt unlock`")
        if ending == ".json" and head.removeprefix(_BOM).lstrip()[:1] in (b"{", b"["):
            content.seek(-min(file.size, 64), os.SEEK_END)
            if content.read(64).rstrip()[-1:] not in (b"}", b"]", b""):
                raise _error(file, "is cut off", "make or fetch it again")
        if not holds_numbers and (not alone or ending in _PAGES):
            return
        if _PAGE.match(head.removeprefix(_BOM)) or (holds_numbers and _REFUSAL.match(head)):
            raise _error(file, "is what a server said instead of sending the file", "fetch it again, signed in")
        if _is_cut(content, head, file.size, ending):
            raise _error(file, "is cut off, or not what its name says", "make or fetch it again")


def _check_parts(file: SourceFile, path: str, names: Collection[str]) -> None:
    """Raise ActionError where a file that says which others belong to it has some that are not among `names`.

    An index of shards (Hugging Face, "sharded checkpoints") of which none is there is of another form of the model.
    """
    folder, _, base = file.name.rpartition("/")
    index, onnx = base.endswith(".index.json"), base.endswith(".onnx")
    if not (index or onnx or base == "MLmodel") or file.size > (_OUTLINE if onnx else _OUTLINE >> 4):
        return
    with open(path, "rb") as content:
        data = content.read()
    if index:
        found = [match[1] for match in _SHARD.finditer(data)] if b'"weight_map"' in data else []
    elif base == "MLmodel":
        found = [match[1] for flavours in _FLAVOURS.findall(data) for match in _LOADED.finditer(flavours)]
        names = {*names, *(parent for name in names for parent in _above(name))}
    else:
        found = [match[2][: match[1][0]] for match in _BESIDE.finditer(data)]
    parts = {os.path.normpath(os.path.join(folder, name.decode(errors="replace"))) for name in found}
    missing = sorted(parts - set(names))
    if missing and not (index and len(missing) == len(parts)):
        raise _error(file, f"needs {missing[0]!r}, which is not there", "put it there as well")


def _above(name: str) -> Iterator[str]:
    """The folders that a name lies in."""
    while name := name.rpartition("/")[0]:
        yield name


def _shown(file: SourceFile) -> str:
    return file.path or file.name


def _error(file: SourceFile, wrong: str, way_out: str) -> ActionError:
    return ActionError(f"{_shown(file)!r} {wrong}", hint=f"{way_out}; `exclude` leaves a file out")


def _is_cut(content: BinaryIO, head: bytes, size: int, ending: str) -> bool:
    """Whether a file of `size` bytes should have more, as far as its format tells."""
    end = 0
    if ending in _BLANK and not head.strip(b"\0"):
        return True
    if ending == ".safetensors":
        end = _safetensors_end(content, head, size)
    elif head.startswith(b"PK\x03\x04"):  # zip, and what is made of it: npz, keras, torch
        import zipfile

        content.seek(0)
        return not zipfile.is_zipfile(content)
    elif head.startswith(b"PAR1"):  # an Apache Parquet file ends as it begins
        content.seek(-4, os.SEEK_END)
        return content.read(4) != b"PAR1"
    elif head.startswith(_HDF5):
        end = _hdf5_end(head)
    elif head.startswith(b"\x93NUMPY"):
        end = _numpy_end(head)
    elif head.startswith(b"GGUF"):
        end = _gguf_end(content, size)
    elif ending in _PICKLES:
        end = _pickle_end(content, head, size)
    elif ending == ".onnx" and head.startswith(_ONNX):
        end = _onnx_end(content, size)
    return end > size


def _safetensors_end(content: BinaryIO, head: bytes, size: int) -> int:
    """Where the file ends: 8 bytes for the header's length, the header, the tensors (safetensors, "Format")."""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or not 2 <= length <= _HEADER:
        return size + 1  # no header is shorter than {}, or longer than the format allows
    content.seek(8)
    header = content.read(length)
    if len(header) < length:
        return 8 + length
    return 8 + length + max((int(found[1]) for found in _ENDS.finditer(header)), default=0)


def _hdf5_end(head: bytes) -> int:
    """The end of file address of the superblock (HDF5 file format 3.0, II.A); 0 where it says none."""
    version = head[8] if len(head) > 8 else 0
    if version <= 1:
        width = head[13] if len(head) > 13 else 8
        at = (24 if version == 0 else 28) + 2 * width
    else:
        width = head[9]
        at = 12 + 2 * width
    found = head[at : at + width]
    return int.from_bytes(found, "little") if len(found) == width and found != b"\xff" * width else len(head) + 1


def _numpy_end(head: bytes) -> int:
    """Where the numbers end (`numpy.lib.format`); where they begin, if they have no size of their own."""
    wide = 2 if head[6:7] == b"\x01" else 4
    begin = 8 + wide + int.from_bytes(head[8 : 8 + wide], "little")
    width = re.search(rb"'descr': *'[<>|=][biufc](\d{1,2})'", head[:begin])
    shape = re.search(rb"'shape': *\(([\d, ]*)\)", head[:begin])
    return begin + math.prod(map(int, re.findall(rb"\d+", shape[1])), start=int(width[1])) if width and shape else begin


def _gguf_end(content: BinaryIO, size: int) -> int:
    """Where the last tensor begins (ggml, "GGUF", versions 2 and 3); 0 where the file is of another form."""
    import struct

    stream = io.BufferedReader(content, 1 << 20)  # type: ignore[type-var]

    def number(form: str = "<Q") -> int:
        found: int = struct.unpack(form, stream.read(struct.calcsize(form)))[0]
        return found

    def skip(count: int) -> None:
        stream.seek(min(count, size), os.SEEK_CUR)

    def skip_value(kind: int) -> None:
        if kind == 9:  # a list
            inner, count = number("<I"), number()
            if inner in _GGUF:
                skip(count * _GGUF[inner])
            for _ in range(count if inner not in _GGUF else 0):
                skip_value(inner)
        else:
            skip(number() if kind == 8 else _GGUF[kind])

    try:
        stream.seek(4)
        if number("<I") not in (2, 3):
            return 0
        tensors, keys = number(), number()
        for _ in range(keys):
            skip(number())
            skip_value(number("<I"))
        last = 0
        for _ in range(tensors):
            skip(number())
            skip(8 * number("<I") + 4)
            last = max(last, number())
        return stream.tell() + last
    except struct.error:
        return size + 1
    except (KeyError, RecursionError):
        return 0
    finally:
        stream.detach()


def _pickle_end(content: BinaryIO, head: bytes, size: int) -> int:
    """Where the frames of a pickle end that has them (PEP 3154), as far as nothing else stands between them."""
    at = 2 if head[:1] == b"\x80" and head[2:3] == b"\x95" else size
    for _ in range(_FIELDS):
        if at >= size:
            break
        content.seek(at)
        opcode = content.read(1)
        wide = _PICKLED.get(opcode)
        if wide is None:
            break
        at += 1 + wide + int.from_bytes(content.read(wide), "little")
    if at == size and head[2:3] == b"\x95":  # between two frames
        content.seek(-1, os.SEEK_END)
        return size if content.read(1) == b"." else size + 1
    return at


def _onnx_end(content: BinaryIO, size: int) -> int:
    """Where the outermost fields of a message end (protobuf, "Encoding"); `size` where they are of another format."""
    at = fields = 0
    while at < size and fields < _FIELDS:
        fields += 1
        content.seek(at)
        window = content.read(20)
        tag, used = _varint(window, 0)
        length, after = _varint(window, used) if tag & 7 in (0, 2) else (0, used)
        if used < 0 or after < 0:
            return size + 1 if len(window) < 20 else size
        if tag & 7 not in _FIXED:
            return size
        at += after + _FIXED[tag & 7] + (length if tag & 7 == 2 else 0)
    return max(at, size)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, where it ends); the end is -1 where the data ends before."""
    value = 0
    for place in range(at, min(len(data), at + 10)) if at >= 0 else ():
        value |= (data[place] & 0x7F) << (7 * (place - at))
        if data[place] < 0x80:
            return value, place + 1
    return 0, -1
