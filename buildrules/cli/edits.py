"""How many lines an edit added to a file and took from it, where the layer that the last build made of it is stored."""

import contextlib
import os
import re
import zlib
from collections.abc import Collection, Iterator
from difflib import SequenceMatcher

from buildrules.actions.layer_files import files_in
from buildrules.engine.action import Action, Outputs
from buildrules.engine.build import Build
from buildrules.errors import BuildrulesError
from buildrules.store.blobs import Blobs

_EDITED = re.compile("file (.*) changed: .* bytes.*", re.DOTALL)
_LARGEST = 256 << 10  # bytes of a file whose lines are counted
_LARGEST_LAYER = 16 << 20


def with_lines(reasons: list[str], counts: dict[str, str]) -> list[str]:
    """The reasons, where a file was edited with how many lines became others: `counts` by workspace-relative path."""
    found = [(reason, _EDITED.fullmatch(reason)) for reason in reasons]
    return [f"{reason}, {counts[match[1]]}" if match and match[1] in counts else reason for reason, match in found]


def line_counts(build: Build, reasons: Collection[str]) -> dict[str, str]:
    """Of text files that `reasons` say were edited: path -> like "+2 -1 lines"; of those that can be known."""
    wanted = {match[1] for reason in reasons if (match := _EDITED.fullmatch(reason))}
    counts: dict[str, str] = {}
    for action in build.plan.actions.values() if wanted else ():
        before = build.previous.get(action.id)
        if before is not None and before.outputs is not None and isinstance(action.params.get("prefix"), str):
            places = {place: path for place, path in _places(build, action) if path in wanted}
            for place, old in _texts(before.outputs, build.store.blobs, places):
                new = _text(os.path.join(build.here.workspace, places[place]))
                if new is not None and b"\0" not in old:
                    counts[places[place]] = _count(old, new)
    return counts


def _places(build: Build, action: Action) -> Iterator[tuple[str, str]]:
    """The paths of an action's files in the image and in the workspace."""
    for source in action.sources:
        for file in build.sources.read(source):
            if file.plain:
                yield f"{action.params['prefix']}/{file.name}".strip("/"), file.path


def _texts(made: Outputs, blobs: Blobs, places: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Those of the files at `places` that lie in stored layers, with their content."""
    for layer in made.layers:
        if layer.recipe is not None or layer.size > _LARGEST_LAYER or not places:
            continue
        with contextlib.suppress(
            OSError, ValueError, zlib.error, BuildrulesError
        ):  # a build says what is wrong with it
            yield from (one for one in files_in(layer, blobs) if one[0] in places and len(one[1]) <= _LARGEST)


def _text(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError:
        return None
    return data if len(data) <= _LARGEST and b"\0" not in data else None


def _count(old: bytes, new: bytes) -> str:
    steps = SequenceMatcher(None, old.splitlines(), new.splitlines()).get_opcodes()
    changed = [step for step in steps if step[0] != "equal"]
    added, removed = sum(to - at for *_, at, to in changed), sum(to - at for _, at, to, *_ in changed)
    return f"+{added} -{removed} lines"
