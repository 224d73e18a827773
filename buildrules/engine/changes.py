"""What changed between two explanations of an action, in words.

Explanations are what the walk of a key saw (`engine.key`), name by name. Parameters are told as their kind has it
(`Told`); rows of a list, and inputs, are held against each other by what they are called, not by their numbers.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from buildrules.engine.action import Action
from buildrules.typed import Any, NamedTuple

_DIGEST = re.compile("(?:(?:sha256:)?(?<![0-9a-f])[0-9a-f]{64}|git:[0-9a-f]{40})(?![0-9a-f])")
_FILE = re.compile(r"(?:as layer \S+ )?(?:(\S+:\S+) )?(\d+) bytes( executable)?")
_INPUT = re.compile(r"input\[(\d+)\] ?(.*?): ((?:layer|blob) .*|values.*)", re.DOTALL)
_PARAMETER = re.compile(r"params\.([^.\[]+)\.?(.*)", re.DOTALL)

_WHEEL = r"([^/]+?)-(\d[^-]*)-.+\.whl"
_SDIST = r"([^/]+)-(\d[^-]*)\.(?:tar\.gz|tar\.bz2|zip)"
_VERSION = re.compile(r"(.+) (\d+\.\S+)")
_LONGEST = 100  # characters of a value that are shown
_BEFORE = 20  # of them before what differs

INPUT = "input "
"""What a line begins with that tells of a dependency, and so of what was told there already."""


class Told(NamedTuple):
    """How a parameter is told: by `words` instead of its name.

    For a list of rows `fields` are their names, or the first of them: that one says which row it is, and `words` what a
    row is. A file name of a wheel or source archive, or a field "version" beside it, say which version.
    """

    words: str = ""
    fields: tuple[str, ...] = ()


class Names(NamedTuple):
    """What people call the parts of an action: its parameters, and its dependencies in their order."""

    told: Mapping[str, Told]
    inputs: Sequence[str]


NAMELESS = Names({}, ())


class _Row(NamedTuple):
    """One of a list. What has no name is told by its `label`, and held against others without."""

    name: str
    version: str
    values: dict[str, str]
    label: str


def differences(action: Action, before: dict[str, str], after: dict[str, str], names: Names = NAMELESS) -> list[str]:
    """What changed between two explanations of `action`, one line each, in the order of the walk; gone ones last."""
    lines: list[str] = []
    done: set[str] = set()
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        lists, told = _list_of(name, names.told)
        if lists is None:
            if not _told_below(name, old, after) and not _told_below(name, new, before):
                lines.append(_line(action, name, old, new, names.told))
        elif lists not in done:
            done.add(lists)
            was, now = (_rows(lists, told, sees, names.inputs) for sees in (before, after))
            lines += _list_lines(was, now, "input" if lists == "input" else told.words)
    return lines


def _list_of(name: str, told: Mapping[str, Told]) -> tuple[str | None, Told]:
    """The list that a name of the walk belongs to, and how it is told; None where it is told by itself."""
    if name.startswith("input["):
        return "input", Told()
    match = _PARAMETER.fullmatch(name)
    how = told.get(match[1], Told()) if match else Told()
    return (f"params.{match[1]}" if match and how.fields else None), how


def _told_below(name: str, value: str | None, others: Mapping[str, str]) -> bool:
    """Whether a value is no news: an empty list or object that others took the place of, the length of a list."""
    if name.endswith(".length"):
        return any(other.startswith(name[: -len(".length")] + "[") for other in others)
    return value in ("[]", "{}") and any(other.startswith((f"{name}.", f"{name}[")) for other in others)


def _line(action: Action, name: str, old: str | None, new: str | None, told: Mapping[str, Told]) -> str:
    """What became of one value."""
    label = readable(action, name, told)
    if old is None or new is None:
        return f"{label} is {'new' if old is None else 'gone'}"
    return f"{label} changed: {_file_change(old, new) if name.startswith('sources[') else _change(old, new)}"


def _file_change(old: str, new: str) -> str:
    """What of a file changed: its size, else its content, and whether it is executable."""
    one, other = _FILE.fullmatch(old), _FILE.fullmatch(new)
    if one is None or other is None:
        return _change(old, new)
    parts = []
    if one[2] != other[2]:
        parts.append(f"{one[2]} -> {other[2]} bytes")
    elif one[1] != other[1]:
        parts.append(_change(str(one[1]), str(other[1])))
    if one[3] != other[3]:
        parts.append("executable now" if other[3] else "not executable any more")
    return ", ".join(parts) or _change(old, new)


def _rows(lists: str, told: Told, sees: Mapping[str, str], inputs: Sequence[str]) -> list[_Row]:
    """The rows of a list, or the inputs, as an explanation has them."""
    if lists == "input":
        return _inputs(sees, inputs)
    rows: dict[int, dict[str, str]] = {}
    if lists in sees:
        for number, row in enumerate(json.loads(sees[lists]) or ()):
            rows[number] = dict(zip(told.fields, map(json.dumps, row), strict=False))
    for name, value in sees.items():
        if name.startswith(f"{lists}["):
            index, _, field = name.removeprefix(f"{lists}[").partition("].")
            rows.setdefault(int(index), {})[field] = value
    found = []
    for values in rows.values():
        name, version = _versioned(_value(values.pop(told.fields[0], "")))
        version = version or _value(values.pop("version", ""))
        found.append(_Row(name, version, values, f"{name} {version}" if version else f"{told.words} {name}"))
    return found


def _inputs(sees: Mapping[str, str], titles: Sequence[str]) -> list[_Row]:
    rows: dict[int, _Row] = {}
    for name, value in sees.items():
        if match := _INPUT.fullmatch(name):
            number = int(match[1])
            if number not in rows:
                label = match[2] or (titles[number] if number < len(titles) else str(number + 1))
                rows[number] = _Row(*_versioned(match[2]), {}, INPUT + label)
            rows[number].values[match[3]] = value
    return list(rows.values())


def _list_lines(before: list[_Row], after: list[_Row], words: str) -> Iterator[str]:
    """What became of the rows of a list, held against each other by their names."""
    left = list(before)
    fresh = []
    for row in after:
        same = next((old for old in left if old[:3] == row[:3]), None)
        if same is not None:
            left.remove(same)
        else:
            fresh.append(row)
    if not left and not fresh:
        yield f"order of {words}s changed"
    for row in fresh:
        old = next((old for old in left if old.name == row.name), None)
        if old is None:
            yield f"{row.label} is new"
            continue
        left.remove(old)
        if old.version != row.version:
            yield f"{old.label} -> {row.version or 'no version'}"
        else:
            yield f"{row.label} changed: {_row_change(old.values, row.values)}"
    yield from (f"{row.label if row.name else 'an ' + words} is gone" for row in left)


def _row_change(old: dict[str, str], new: dict[str, str]) -> str:
    """What differs between two rows of one name. Of inputs it is layers, and other values where these are the same."""
    was, now = (
        [shown(value.partition(" ")[0]) for name, value in row.items() if name.startswith("layer ")]
        for row in (old, new)
    )
    if was != now:
        return (
            f"layer {was[0]} -> {now[0]}"
            if len(was) == len(now) == 1
            else f"{len(set(now) - set(was))} of {len(now)} layers"
        )
    changed = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    parts = [
        f"{name.removeprefix('values.').removeprefix('blob ')} {_change(old.get(name, 'null'), new.get(name, 'null'))}"
        for name in changed
    ]
    return ", ".join(parts[:3]) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")


def readable(action: Action, name: str, told: Mapping[str, Told]) -> str:
    """A name of the walk as a person knows it: a file of a source set goes by its path in the workspace, a parameter as
    its kind tells it."""
    if match := _PARAMETER.fullmatch(name):
        words = told[match[1]].words if match[1] in told else None
        return name.removeprefix("params.") if words is None else f"{words} {match[2]}".strip() or match[1]
    number, bracket, rest = name.removeprefix("sources[").partition("]")
    if not bracket or not number.isdecimal() or int(number) >= len(action.sources):
        return name
    directory = action.sources[int(number)].directory
    if rest == ": small files":
        return f"one of the small files of {directory or 'the root'!r}"
    return f"file {directory}/{rest[1:]}" if directory else f"file {rest[1:]}"


def shown(value: str) -> str:
    """A value of the walk as people write it: digests with 12 digits, texts without quotes, and not too long."""
    return _cut(_plain(value))


def _change(old: str, new: str) -> str:
    """Both values as people write them; where these are long, from shortly before the first place that differs."""
    was, now = _plain(old), _plain(new)
    if was == now:  # a number and a text of the same digits
        return f"{_cut(old)} -> {_cut(new)}"
    differs = (at for at, (one, other) in enumerate(zip(was, now, strict=False)) if one != other)
    start = max(0, next(differs, min(len(was), len(now))) - _BEFORE) if max(len(was), len(now)) > _LONGEST else 0
    return " -> ".join(_cut(f"...{text[start:]}" if start else text) for text in (was, now))


def _plain(value: str) -> str:
    return _DIGEST.sub(lambda found: found[0].rpartition(":")[2][:12], _value(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _value(value: str) -> str:
    """A value as a text: a JSON string by itself, other JSON spaced; what is none as it is."""
    try:
        return _text(json.loads(value))
    except ValueError:
        return value


def _text(value: Any) -> str:
    if isinstance(value, str) and value and value == value.strip():
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def short_name(what: str) -> str:
    """What people call a file or a step: "numpy 2.3.1" for the file name of a wheel or source archive."""
    match = re.fullmatch(_WHEEL, what) or re.fullmatch(_SDIST, what)
    return f"{match[1].replace('_', '-').lower()} {match[2]}" if match else what


def _versioned(what: str) -> tuple[str, str]:
    """The same as name and version; the version is "" where there is none."""
    short = short_name(what)
    match = _VERSION.fullmatch(short)
    return (match[1], match[2]) if match else (short, "")
