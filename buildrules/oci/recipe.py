"""Layer recipes: what a layer is made of, in plain JSON types, small enough to live in a record.

A layer without a recipe is known by its digest alone: somebody else's, or one that was made once and kept as a blob.

    {"version": 2, "compression": "none", "parts": [PART, ...]}
    {"version": 2, "compression": "gzip", "level": 0..12, "parts": [PART, ...]}

PART is one of

    {"kind": "directory", "path": p, "mode": m}
    {"kind": "directory", "path": p, "mode": m, "owner": n}
    {"kind": "symlink", "path": p, "target": t}
    {"kind": "inline", "path": p, "mode": m, "text": s}
    {"kind": "file", "path": p, "mode": m, "size": n, "digest": d}
    {"kind": "file", "path": p, "mode": m, "size": n, "layer": d}
    {"kind": "wheel", "digest": d, "filename": f, "prefix": p, "python": "3.11"}
    {"kind": "deb", "digest": d, "drop": [glob, ...]}
    {"kind": "python", "digest": d, "python": "3.12.15", "prefix": p, "drop": [glob, ...]}
    {"kind": "conda", "digest": d, "filename": f, "prefix": p, "python": "3.11" or "", "drop": [path, ...]}

Content is named by digest; where it is, `oci.supply` finds out when somebody wants it. A large file of the workspace is
read once, as the layer it makes alone: that layer's uncompressed digest, `layer`, then is its name. Many small files
are read once as well, as the layer they make together; `layer` then is a digest over that layer's and the file's name.

Paths are relative and normalised. A part expands to tar entries (`oci.parts`); the assembler adds missing parent
directories, mode 0755, once per layer where they are first needed. The order of entries is the order of parts.

A recipe names bytes for ever: what this version makes of a recipe may not change. Whoever changes the tar, gzip or part
formats, or moves the pin of the `deflate` package (levels 1 to 12 depend on it), raises VERSION and the
versions of the action kinds.
"""

from collections.abc import Callable

from buildrules.errors import IntegrityError
from buildrules.oci.compression import COMPRESSIONS
from buildrules.oci.descriptor import is_digest
from buildrules.oci.paths import bad_link, bad_path, bad_text
from buildrules.typed import Any

VERSION = 2

LARGE_FILE = 16 << 20
"""A model file of this many bytes or more is a layer of its own."""

SMALL_LAYER = 4 << 20
"""A layer of at most this many bytes of files is kept in the store as a blob."""

LARGEST_OWNER = 0o7777777
"""The largest number of a user that a tar header has room for."""

Part = dict[str, Any]
Recipe = dict[str, Any]


def check(recipe: Any) -> Recipe:
    """The recipe itself, if it is one that is safe to assemble. Raises IntegrityError for everything else."""
    if not isinstance(recipe, dict):
        raise IntegrityError(f"a layer recipe must be an object, not {type(recipe).__name__}")
    if recipe.get("version") != VERSION or isinstance(recipe["version"], bool):
        raise IntegrityError(
            f"layer recipe of version {recipe.get('version')!r}, this program reads version {VERSION}",
            hint="update buildrules, or build again",
        )
    name = recipe.get("compression")
    compression = COMPRESSIONS.get(name) if isinstance(name, str) else None
    if compression is None:
        raise IntegrityError(f"unknown compression of a layer recipe: {name!r}")
    fields = sorted(["parts", *compression.settings])
    if set(recipe) != {"version", "compression", *fields}:
        raise IntegrityError(
            f"a recipe of compression {name} has the fields {', '.join(fields)}, not {sorted(recipe)!r}"
        )
    for setting, largest in compression.settings.items():
        _integer(setting, recipe[setting], largest)
    if not isinstance(recipe["parts"], list):
        raise IntegrityError("the parts of a layer recipe must be a list")
    for part in recipe["parts"]:
        check_part(part)
    return recipe


def check_part(part: Any) -> None:
    """Raise IntegrityError unless `part` is one of the parts in the module's documentation."""
    kind = part.get("kind") if isinstance(part, dict) else None
    fields = next((found for field, found in _VARIANTS.items() if kind == field[0] and field[1] in part), None)
    if fields is None and isinstance(kind, str):
        fields = _FIELDS.get(kind)
    if fields is None:
        raise IntegrityError(f"unknown kind of recipe part: {kind!r}")
    if len(part) != len(fields) + 1 or not fields.keys() <= part.keys():
        raise IntegrityError(f"a {kind} part has the fields {', '.join(fields)}, not {sorted(map(str, part))!r}")
    for name, check_field in fields.items():
        check_field(name, part[name])
    if kind == "symlink":
        problem = bad_link(part["path"], part["target"])
        if problem:
            raise IntegrityError(f"target {part['target']!r} of the symlink {part['path']!r} {problem}")


def tar(parts: list[Part]) -> Recipe:
    """An uncompressed layer of `parts`."""
    return {"version": VERSION, "compression": "none", "parts": parts}


def gzip(parts: list[Part], level: int = 0) -> Recipe:
    """A gzip layer of `parts`. Level 0 stores what is not compressed already: its bytes depend on no compressor."""
    return {"version": VERSION, "compression": "gzip", "level": level, "parts": parts}


def directory(path: str, mode: int = 0o755, *, owner: int = 0) -> Part:
    """An explicit directory; `owner` is the number of the user it belongs to."""
    part = {"kind": "directory", "path": path, "mode": mode}
    return {**part, "owner": owner} if owner else part


def symlink(path: str, target: str) -> Part:
    """A symbolic link."""
    return {"kind": "symlink", "path": path, "target": target}


def inline(path: str, text: str, mode: int = 0o644) -> Part:
    """A file whose text, UTF-8, stands in the recipe."""
    return {"kind": "inline", "path": path, "mode": mode, "text": text}


def file(path: str, digest: str, size: int, mode: int = 0o644, *, as_layer: bool = False) -> Part:
    """A file of `size` bytes. With `as_layer` its `digest` is that of `layer` above."""
    return {"kind": "file", "path": path, "mode": mode, "size": size, "layer" if as_layer else "digest": digest}


def wheel(digest: str, filename: str, prefix: str, python: str) -> Part:
    """All files of a wheel (a blob of the store) as installed below `prefix` for Python `python`, like "3.11"."""
    return {"kind": "wheel", "digest": digest, "filename": filename, "prefix": prefix, "python": python}


def python(digest: str, version: str, prefix: str, drop: list[str]) -> Part:
    """CPython `version`, of an archive (a blob of the store), below `prefix`; see `oci.parts.python`."""
    return {"kind": "python", "digest": digest, "python": version, "prefix": prefix, "drop": drop}


def conda(digest: str, filename: str, prefix: str, python: str, drop: list[str]) -> Part:
    """All files of a conda package (a blob of the store) as installed in `prefix`, but the paths below it in `drop`.

    `python` is like "3.11" where the package is noarch and may be Python's, "" else.
    """
    return {
        **{"kind": "conda", "digest": digest, "filename": filename, "prefix": prefix},
        **{"python": python, "drop": drop},
    }


def _path(name: str, value: object) -> None:
    problem = bad_path(value) if isinstance(value, str) else "is not a string"
    if problem:
        raise IntegrityError(f"{name} {value!r} of a recipe part {problem}")


def _integer(name: str, value: object, largest: int) -> None:
    if type(value) is not int or not 0 <= value <= largest:
        raise IntegrityError(f"{name} of a layer recipe must be a number from 0 to {largest}, not {value!r}")


def _mode(name: str, value: object) -> None:
    _integer(name, value, 0o7777)


def _owner(name: str, value: object) -> None:
    _integer(name, value, LARGEST_OWNER)


def _size(name: str, value: object) -> None:
    _integer(name, value, 1 << 62)


def _text(name: str, value: object) -> None:
    problem = bad_text(value) if isinstance(value, str) else "is not a string"
    if problem:
        raise IntegrityError(f"{name} of a recipe part {problem}")


def _digest(name: str, value: object) -> None:
    if not is_digest(value):
        raise IntegrityError(f"{name} of a recipe part is not a sha256 digest: {value!r}")


def _filename(name: str, value: object) -> None:
    if not isinstance(value, str) or "/" in value or not value.endswith(".whl") or value.count("-") < 4:
        raise IntegrityError(f"{name} of a wheel part is not the name of a wheel: {value!r}")


def _python(name: str, value: object) -> None:
    major, _, minor = value.removesuffix("t").partition(".") if isinstance(value, str) else ("", "", "")
    if not (major.isdecimal() and major.isascii() and minor.isdecimal() and minor.isascii()):
        raise IntegrityError(f"{name} of a wheel part is like '3.11' or '3.13t', not {value!r}")


def _version(name: str, value: object) -> None:
    numbers = value.removesuffix("t").split(".") if isinstance(value, str) else []
    if len(numbers) != 3 or not all(number.isdecimal() and number.isascii() for number in numbers):
        raise IntegrityError(f"{name} of a python part is like '3.12.15' or '3.13.17t', not {value!r}")


def _package(name: str, value: object) -> None:
    if not isinstance(value, str) or bad_path(value) or "/" in value or not value.endswith((".conda", ".tar.bz2")):
        raise IntegrityError(f"{name} of a conda part is not the name of a conda package: {value!r}")


def _python_or_none(name: str, value: object) -> None:
    if value != "":
        _python(name, value)


def _texts(name: str, value: object) -> None:
    if not isinstance(value, list):
        raise IntegrityError(f"{name} of a recipe part must be a list of strings, not {value!r}")
    for item in value:
        _text(name, item)


_FIELDS: dict[str, dict[str, Callable[[str, object], None]]] = {
    "directory": {"path": _path, "mode": _mode},
    "symlink": {"path": _path, "target": _text},
    "inline": {"path": _path, "mode": _mode, "text": _text},
    "file": {"path": _path, "mode": _mode, "size": _size, "digest": _digest},
    "wheel": {"digest": _digest, "filename": _filename, "prefix": _path, "python": _python},
    "deb": {"digest": _digest, "drop": _texts},
    "python": {"digest": _digest, "python": _version, "prefix": _path, "drop": _texts},
    "conda": {
        **{"digest": _digest, "filename": _package, "prefix": _path, "python": _python_or_none, "drop": _texts},
    },
}
_VARIANTS: dict[tuple[str, str], dict[str, Callable[[str, object], None]]] = {
    ("directory", "owner"): {"path": _path, "mode": _mode, "owner": _owner},
    ("file", "layer"): {"path": _path, "mode": _mode, "size": _size, "layer": _digest},
}
"""By kind and a field that only some parts of it have: all fields of those."""
