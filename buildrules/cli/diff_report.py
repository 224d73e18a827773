"""How a difference of two images is told: lines for a person, JSON for a program, markdown for a pull request."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from buildrules.cli.harmless import in_line
from buildrules.cli.report import size_text
from buildrules.contents.described import Described
from buildrules.contents.difference import SECTIONS, Change, Difference
from buildrules.contents.listing import GONE, Listed
from buildrules.engine.changes import shown

_TITLES = {
    "layers": "layers",
    "python": "Python packages",
    "debian": "Debian packages",
    "conda": "conda packages",
    "models": "models",
    "settings": "settings",
    "files": "files",
}
_MOST = 20  # of a section, unless all is asked for
_ORDER = {"~": 0, "+": 1, "-": 2}


def difference_lines(found: Difference, *, verbose: bool = False) -> Iterator[str]:
    """Lines for a person; with `verbose` every file."""
    yield f"from  {_image(found.before)}"
    yield f"to    {_image(found.after)}"
    yield _sizes(found)
    for name, changes in _sections(found):
        told = _told(name, changes, whole=verbose)
        yield f"{_TITLES[name]}  {_counted(changes)}"
        for mark, text in told[: None if verbose else _MOST]:
            yield f"  {mark} {text}"
        if len(told) > _MOST and not verbose:
            yield f"    and {len(told) - _MOST} more; --verbose shows all"
    if found.same:
        yield (
            "no differences" if found.before.digest == found.after.digest else "no differences but in how it is packed"
        )


def difference_markdown(found: Difference) -> str:
    """The same for a comment on a pull request: a line of what matters, and lists that are folded away."""
    parts = [f"**{_code(found.before.name)} → {_code(found.after.name)}**", _sizes(found)]
    if found.same:
        parts.append("No differences.")
    for name, changes in _sections(found):
        told = _told(name, changes, whole=False)
        rows = [in_line(f"{mark} {text}") for mark, text in told[: 5 * _MOST]]
        if len(told) > len(rows):
            rows.append(f"  and {len(told) - len(rows)} more")
        fence = "`" * (max((len(run) for row in rows for run in _ticks(row)), default=2) + 1)
        head = f"<summary>{_TITLES[name]}: {_counted(changes)}</summary>"
        parts.append(
            f"<details{' open' * (name != 'files')}>{head}\n\n{fence}diff\n"
            + "\n".join(rows)
            + f"\n{fence}\n</details>"
        )
    return "\n\n".join(parts) + "\n"


def _ticks(text: str) -> Sequence[str]:
    return [run for run in "".join(char if char == "`" else " " for char in text).split(" ") if len(run) > 2]


def _code(text: str) -> str:
    return f"`{in_line(text).replace('`', '')}`"


def difference_json(found: Difference) -> str:
    """All of it as one JSON object."""
    value = {
        "same": found.same,
        "from": _plain_image(found.before),
        "to": _plain_image(found.after),
        "bytes": found.sizes._asdict(),
        **{name: [_plain(change) for change in found.changes[name]] for name in SECTIONS},
    }
    return json.dumps(value, indent=2) + "\n"


def _plain_image(image: Described) -> dict[str, Any]:
    return {"name": image.name, "digest": image.digest, "size": image.size, "layers": len(image.layers)}


def _plain(change: Change) -> dict[str, Any]:
    values = [one._asdict() if isinstance(one, Listed) else one for one in change[1:]]
    return {"name": change.name, "mark": change.mark, "from": values[0], "to": values[1]}


def _sections(found: Difference) -> Iterator[tuple[str, list[Change]]]:
    for name in SECTIONS:
        if found.changes[name]:
            yield name, sorted(found.changes[name], key=lambda change: _ORDER[change.mark])


def _image(image: Described) -> str:
    return f"{image.name}  {image.digest[:19]}  {size_text(image.size)}, {len(image.layers)} layers"


def _sizes(found: Difference) -> str:
    grown = found.after.size - found.before.size
    sign = "+" if grown >= 0 else "-"
    sizes = found.sizes
    return (
        f"size  {size_text(found.before.size)} -> {size_text(found.after.size)} ({sign}{size_text(abs(grown))}); "
        f"{sizes.shared_layers} layers, {size_text(sizes.shared)}, are the same; {size_text(sizes.only_after)} to send"
    )


def _counted(changes: Sequence[Change]) -> str:
    counts = Counter(change.mark for change in changes)
    words = {"~": "changed", "+": "new", "-": "gone"}
    return ", ".join(f"{counts[mark]} {word}" for mark, word in words.items() if counts[mark])


def _told(name: str, changes: Sequence[Change], *, whole: bool) -> list[tuple[str, str]]:
    """Mark and words of each change; of files that belong together one line for all, unless the `whole` is wanted."""
    if name == "files" and not whole:
        return _grouped(changes)
    tell = {"layers": _layer, "files": _file}.get(name, _value)
    return [(change.mark, tell(change)) for change in changes]


def _layer(change: Change) -> str:
    one, other = change.before, change.after
    if one is None or other is None:
        return f"{change.name}  {size_text((one or other)['size'])}"
    title = one["title"] if one["title"] == other["title"] else f"{one['title']} -> {other['title']}"
    return f"{title}  {size_text(one['size'])} -> {size_text(other['size'])}"


def _value(change: Change) -> str:
    one, other = (shown(str(value)) for value in change[1:])
    if change.before is None or change.after is None:
        return f"{change.name} {other if change.before is None else one}"
    return f"{change.name} {one} -> {other}"


def _file(change: Change) -> str:
    one, other = change.before, change.after
    if GONE in (getattr(one, "content", ""), getattr(other, "content", "")):
        return f"{change.name}  what a layer below has is hidden"
    if one is None or other is None:
        found = one or other
        return f"{change.name}  " + (found.content if found.content[:2] == "->" else size_text(found.size))
    parts = []
    if one.size != other.size:
        parts.append(f"{one.size} -> {other.size} bytes")
    elif one.content != other.content:
        links = one.content[:2] == "->" or other.content[:2] == "->"
        parts.append(f"{one.content} now {other.content}" if links else "other content")
    if one.mode != other.mode:
        parts.append(f"mode {one.mode:o} -> {other.mode:o}")
    return f"{change.name}  {', '.join(parts)}"


def _grouped(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """Files of no package one by one; the others, and bytecode, counted."""
    told: list[tuple[str, str]] = []
    groups: Counter[tuple[str, str]] = Counter()
    for change in changes:
        owner = (change.after or change.before).owner
        if "/__pycache__/" in change.name:
            groups[change.mark, "bytecode"] += 1
        elif owner:
            groups[change.mark, owner] += 1
        else:
            told.append((change.mark, _file(change)))
    return told + [(mark, f"{count} file{'s' * (count != 1)} of {owner}") for (mark, owner), count in groups.items()]
