"""How two images differ: layers, packages, files, models, settings. Pure, but for what reads the layers.

Layers are compared by their uncompressed digests: an image is the same whatever its layers are compressed with. Only
those that the other image does not have are read, so what a shared layer holds is never said to differ.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from buildrules.contents.described import Described, TitledLayer
from buildrules.contents.listing import Listing, view
from buildrules.credentials.secret_names import seems_secret
from buildrules.document.plain_json import read_json
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.sha256 import hex_digest

_DEEPEST = 30  # values around a value
_VERSION = re.compile(r" v?\d+(\.\S+)*$")
_MODELS = ("buildrules.model", "buildrules.models", "buildrules.cards")
_SETTINGS = {
    "Entrypoint": "entry point",
    "Cmd": "command",
    "WorkingDir": "working directory",
    "User": "user",
    "ExposedPorts": "ports",
    "Volumes": "volumes",
    "StopSignal": "stop signal",
}


class Change(NamedTuple):
    """What became of one thing: None stands for what is not there. Values are plain JSON types or named tuples."""

    name: str
    before: Any
    after: Any

    @property
    def mark(self) -> str:
        """`+` for what is new, `-` for what is gone, `~` for what is another."""
        return "+" if self.before is None else "-" if self.after is None else "~"


class Sizes(NamedTuple):
    """Bytes of compressed layers: those that both have, and those that only one has."""

    shared_layers: int
    shared: int
    only_before: int
    only_after: int


class Difference(NamedTuple):
    """From image `before` to image `after`. `changes` are by what they are about, in the order of `SECTIONS`."""

    before: Described
    after: Described
    sizes: Sizes
    changes: Mapping[str, list[Change]]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(self.changes.values())


SECTIONS = ("layers", "python", "debian", "conda", "models", "settings", "files")


def compare(before: Described, after: Described) -> Difference:
    """How the second image differs from the first. Raises what reading their layers raises."""
    own = _apart(before.layers, after.layers), _apart(after.layers, before.layers)
    listings = [[one.read(item.layer) for item in items] for one, items in zip((before, after), own, strict=True)]
    known = {item.layer.diff_id for item in before.layers}
    shared = [item.layer.size for item in after.layers if item.layer.diff_id in known]
    sizes = Sizes(len(shared), sum(shared), *(sum(item.layer.size for item in items) for items in own))
    views = [view(found) for found in listings]
    packages = {
        kind: _changes(*(_joined(getattr(one, kind) for one in found) for found in listings))
        for kind in ("python", "debian", "conda")
    }
    models = [
        *_changes(*(dict(_model_labels(one.labels)) for one in (before, after))),
        *_changes(*(_model_files(found) for found in listings)),
    ]
    found = {
        "layers": list(_layers(*own)),
        **packages,
        "models": models,
        "settings": _changes(dict(_settings(before)), dict(_settings(after))),
        "files": [change for change in _changes(*views) if _differs(change)],
    }
    return Difference(before, after, sizes, found)


def _apart(layers: Iterable[TitledLayer], others: Iterable[TitledLayer]) -> list[TitledLayer]:
    theirs = {item.layer.diff_id for item in others}
    return [item for item in layers if item.layer.diff_id not in theirs]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    names = sorted({name for name in {**before, **after} if before.get(name) != after.get(name)})
    return [Change(name, before.get(name), after.get(name)) for name in names]


def _joined(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {name: version for one in found for name, version in one.items()}


def _differs(change: Change) -> bool:
    """Whether a file is another one: whose it is does not count."""
    one, other = change.before, change.after
    return one is None or other is None or one[:3] != other[:3]


def _layers(before: list[TitledLayer], after: list[TitledLayer]) -> Iterator[Change]:
    """Each layer that only one has; those of one title, versions aside, are held against each other."""
    left = list(before)
    for item in after:
        stem = _VERSION.sub("", item.title)
        old = next((one for one in left if one.title == item.title), None)
        old = old or next((one for one in left if _VERSION.sub("", one.title) == stem), None)
        if old is not None:
            left.remove(old)
        yield Change(stem if old else item.title, _layer(old) if old else None, _layer(item))
    yield from (Change(item.title, _layer(item), None) for item in left)


def _layer(item: TitledLayer) -> dict[str, Any]:
    return {"title": item.title, "digest": item.layer.digest, "size": item.layer.size}


def _model_labels(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if "buildrules.model" in labels:
        yield "name", labels["buildrules.model"]
    for label, what in (("buildrules.models", "digest of"), ("buildrules.cards", "card of")):
        yield from ((f"{what} {place}", digest) for place, digest in _flat("", parsed(labels.get(label, "{}"))))


def _model_files(listings: Iterable[Listing]) -> dict[str, str]:
    """What MLmodel files say, value by value: signature, metadata with metrics, flavours."""
    found: dict[str, str] = {}
    for listing in listings:
        for path, text in listing.models.items():
            node = parse(path, text.encode(), Problems(), aliases=True)
            if node is not None:
                found.update(_flat(path, node.value(Problems())))
    return found


def _settings(image: Described) -> Iterator[tuple[str, str]]:
    place = [image.document.get(name) for name in ("os", "architecture", "variant")]
    yield "platform", "/".join(str(part) for part in place if part)
    yield "created", str(image.document.get("created") or "")
    for item in image.config.get("Env") or ():
        name, _, value = str(item).partition("=")
        yield f"variable {name}", f"sha256:{hex_digest(value.encode())[:12]}" if seems_secret(name) else value
    for name, words in _SETTINGS.items():
        if said := image.config.get(name):
            yield words, " ".join(map(str, said)) if isinstance(said, (list, dict)) else str(said)
    for name, text in image.labels.items():
        if name not in _MODELS:
            yield from _flat(f"label {name}", parsed(text))


def parsed(text: str) -> Any:
    """JSON in a text as what it says, any other text as it is."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return read_json(text)
    except ValueError:
        return text


def _flat(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The values in a value, each with where it is in it; those of a list go by their names, if they have any."""
    if depth > _DEEPEST:
        yield name, "nested too deeply"
        return
    if isinstance(value, str):
        inner = parsed(value)
        if inner is value:
            yield name, value
            return
        value = inner
    if isinstance(value, dict):
        rows: Iterable[tuple[str, Any]] = value.items()
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [
            (str(row.get("name", number)), {k: v for k, v in row.items() if k != "name"})
            for number, row in enumerate(value)
        ]
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)
        return
    for key, below in rows:
        yield from _flat(f"{name} {key}".strip(), below, depth + 1)
