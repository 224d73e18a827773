"""Action keys. One function walks what can influence an action; two writers listen.

`HashWriter` gives the key, `ExplainWriter` gives the lines `buildrules why` compares and prints, so
the explanation is what the key really saw. Values are digests or parameters, never credentials.
"""

import hashlib
import re
from typing import Any, Protocol

from buildrules.credentials.secret_names import seems_secret
from buildrules.engine.action import Action, Outputs
from buildrules.engine.step import Step
from buildrules.store.records import canonical

SCHEMA = "buildrules-key-2"

_SOURCE = re.compile(r"sources\[(\d+)\](?: (.+)|: small files)", re.DOTALL)


class Writer(Protocol):
    """Takes the walk of an action, one named value at a time."""

    def value(self, name: str, value: str) -> None:
        """One input: a path-like name that is unique in the action, and its value as text."""


class HashWriter:
    """Hashes names and values with their lengths, so that no two walks give the same stream."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256(SCHEMA.encode())

    def value(self, name: str, value: str) -> None:
        """See `Writer.value`."""
        first, second = name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        self._sha256.update(b"%d:%b%d:%b" % (len(first), first, len(second), second))

    def key(self) -> str:
        """The key, 64 hex digits."""
        return self._sha256.hexdigest()


class ExplainWriter:
    """Keeps names and values as they are, but a digest of what seems to be a secret: explanations are shown."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def value(self, name: str, value: str) -> None:
        """See `Writer.value`."""
        for group in (".environment.", ".headers."):
            if group in name and seems_secret(name.rpartition(group)[2].strip('"')):
                value = f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()}"
                break
        self.values[name] = value


class _Both:
    """Tells a hash writer and an explain writer."""

    def __init__(self) -> None:
        self.hash, self.explain = HashWriter(), ExplainWriter()

    def value(self, name: str, value: str) -> None:
        """See `Writer.value`."""
        self.hash.value(name, value)
        self.explain.value(name, value)


def walk(step: Step, writer: Writer) -> None:
    """Tell `writer` everything that can influence the outputs of `step`, and nothing that names a place.

    A file goes by its name below its source set, a dependency by its role; what a dependency made enters, not how it
    was made: that is the early cutoff. Titles and paths stay outside: equal content has one key wherever it is.
    """
    writer.value("kind", f"{step.kind}/{step.version}")
    _walk_params("params", dict(step.params), writer)
    writer.value("sources", str(len(step.sources)))
    for number, files in enumerate(step.sources):
        for layer in sorted({file.layer for file in files if file.layer}):
            writer.value(f"sources[{number}]: small files", f"layer {layer}")
        for file in files:
            form = f"as layer /{file.as_layer} " if file.as_layer else ""
            digest = "" if file.layer else f"{form}{file.digest} "
            executable = " executable" if file.mode & 0o100 else ""
            writer.value(f"sources[{number}] {file.name}", f"{digest}{file.size} bytes{executable}")
    for number, dep in enumerate(step.deps):
        _walk_outputs(f"input[{number}] {dep.role}".rstrip(), dep.outputs, writer)


def _walk_params(name: str, value: Any, writer: Writer) -> None:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            _walk_params(f"{name}.{_quoted(key)}", value[key], writer)
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        writer.value(f"{name}.length", str(len(value)))
        for number, item in enumerate(value):
            _walk_params(f"{name}[{number}]", item, writer)
    else:
        writer.value(name, canonical(value).decode())


def _quoted(key: str) -> str:
    """A key as part of a name: quoted where it holds what names are made of, so that no two walks agree by accident."""
    return key if key.replace("_", "a").replace("-", "a").isalnum() else canonical(key).decode()


def _walk_outputs(name: str, outputs: Outputs, writer: Writer) -> None:
    for number, layer in enumerate(outputs.layers):
        value = f"{layer.digest} {layer.size} bytes, {layer.media_type}, diff_id {layer.diff_id}"
        writer.value(f"{name}: layer {number}", value)
    _walk_params(f"{name}: values", outputs.values, writer)
    for blob in sorted(outputs.blobs):
        writer.value(f"{name}: blob {blob}", outputs.blobs[blob])


def compute_key(step: Step) -> str:
    """The key of a step: 64 hex digits."""
    writer = HashWriter()
    walk(step, writer)
    return writer.key()


def explain(step: Step) -> dict[str, str]:
    """What the key saw, by name."""
    writer = ExplainWriter()
    walk(step, writer)
    return writer.values


def key_and_explanation(step: Step) -> tuple[str, dict[str, str]]:
    """Both, in one walk."""
    writer = _Both()
    walk(step, writer)
    return writer.hash.key(), writer.explain.values


def listing_digest(sees: dict[str, str]) -> str:
    """`sha256:<hex>` of an explanation as canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(sees)).hexdigest()


def differences(action: Action, before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What changed between two explanations of `action`, one readable line each, in the order of the walk."""
    lines = []
    for name, value in after.items():
        if name not in before:
            lines.append(f"{readable(action, name)} is new")
        elif before[name] != value:
            lines.append(f"{readable(action, name)} changed: {_short(before[name])} -> {_short(value)}")
    lines += [f"{readable(action, name)} is gone" for name in before if name not in after]
    return lines


def readable(action: Action, name: str) -> str:
    """A name of the walk as a person knows it: a file of a source set goes by its path in the workspace."""
    match = _SOURCE.fullmatch(name)
    if match is None or int(match[1]) >= len(action.sources):
        return name
    directory = action.sources[int(match[1])].directory
    if match[2] is None:
        return f"one of the small files of {directory or 'the root'!r}"
    return f"file {directory}/{match[2]}" if directory else f"file {match[2]}"


def _short(value: str) -> str:
    words = [word[:19] if word.startswith("sha256:") else word for word in value.split(" ")]
    text = " ".join(words)
    return text if len(text) <= 100 else text[:97] + "..."
