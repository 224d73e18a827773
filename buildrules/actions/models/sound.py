"""Whether the files of a model are what their names promise: not pointers, error pages, or cut off.

A look at the first bytes of files that may be wrong, and at the outline of formats that say how long they are. What
no reader of the format could read is an error; what a format does not say is not guessed.
"""

import os
import re
from collections.abc import Sequence

from buildrules.actions.models.pointers import LONGEST, pointer_of
from buildrules.engine.action import SourceFile
from buildrules.errors import ActionError
from buildrules.oci.local import Local
from buildrules.typed import BinaryIO

_WEIGHTS = re.compile(
    r".*\.(?:bin|cbm|ckpt|engine|gguf|ggml|h5|hdf5|joblib|keras|mar|mlmodel|model|msgpack|npy|npz|onnx|params|pb|pdiparams"
    r"|pickle|pkl|plan|pt|pth|safetensors|tflite|ubj|weights|zip)",
    re.IGNORECASE | re.DOTALL,
)
"""Endings of files that hold numbers: never empty, and never a page."""

_PAGE = re.compile(rb"\s*(?:<!doctype\s+html|<html[\s>]|(?:<\?xml[^>]*>\s*)?<error[\s>])", re.IGNORECASE)
"""How the page begins that a server sends instead of a file; object stores send `<Error>`."""
_REFUSAL = re.compile(rb"\s*(?:\{\s*\"error\"\s*:|(?:404:|entry|repository|file) not found)", re.IGNORECASE)
"""The same of servers that answer programs."""
_PAGES = (".html", ".htm", ".xhtml", ".xml", ".svg")
_BOM = b"\xef\xbb\xbf"

_HEADER = 100_000_000  # bytes that the header of a safetensors file may have (safetensors, "Format")
_ENDS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d{1,20}\s*,\s*(\d{1,20})\s*\]')
_HDF5 = b"\x89HDF\r\n\x1a\n"
_FIXED = {0: 0, 1: 8, 2: 0, 5: 4}  # bytes behind the tag and the number of a field, by the kind of field
_FIELDS = 10_000  # of a model that are looked at
_ONNX = b"\x08"  # ModelProto's first field, ir_version, as all writers begin


def check_sound(files: Sequence[SourceFile], local: Local, what: str) -> None:
    """Look at the files of a model or input, which `local` has; `what` names the whole.

    Raises ActionError for the first file that cannot be what it should be, and where none has any content.
    """
    named = [file for file in files if not file.name.rpartition("/")[2].startswith(".")]
    if named and not any(file.size for file in files):
        raise _error(named[0], f"is empty, and the {what} has nothing else", "put the file itself there")
    for file in files:
        if _WEIGHTS.fullmatch(file.name) or file.size <= LONGEST or len(files) == 1:
            try:
                _check(file, local.path(file.digest), alone=len(files) == 1)
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
        if not holds_numbers and (not alone or ending in _PAGES):
            return
        if _PAGE.match(head.removeprefix(_BOM)) or (holds_numbers and _REFUSAL.match(head)):
            raise _error(file, "is what a server said instead of sending the file", "fetch it again, signed in")
        if _is_cut(content, head, file.size, ending):
            raise _error(file, "is cut off, or not what its name says", "make or fetch it again")


def _shown(file: SourceFile) -> str:
    return file.path or file.name


def _error(file: SourceFile, wrong: str, way_out: str) -> ActionError:
    return ActionError(f"{_shown(file)!r} {wrong}", hint=f"{way_out}; `exclude` leaves a file out")


def _is_cut(content: BinaryIO, head: bytes, size: int, ending: str) -> bool:
    """Whether a file of `size` bytes should have more, as far as its format tells."""
    if ending == ".safetensors":
        return _safetensors_end(content, head) > size
    if head.startswith(b"PK\x03\x04"):  # zip, and what is made of it: npz, keras, torch
        import zipfile

        content.seek(0)
        return not zipfile.is_zipfile(content)
    if head.startswith(_HDF5):
        return _hdf5_end(head) > size
    return ending == ".onnx" and head.startswith(_ONNX) and _onnx_end(content, size) > size


def _safetensors_end(content: BinaryIO, head: bytes) -> int:
    """Where the file ends: 8 bytes for the header's length, the header, the tensors (safetensors, "Format")."""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or length > _HEADER:
        return 8 + _HEADER  # longer than the format allows: no file is
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
