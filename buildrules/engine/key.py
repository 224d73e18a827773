"""Action keys. One walk of what can influence an action gives the key, and the lines `buildrules why` prints.

So the explanation is what the key really saw. Values are digests or parameters, never credentials.
"""

from buildrules.credentials.secret_names import seems_secret
from buildrules.engine.action import Outputs
from buildrules.engine.step import Step
from buildrules.sha256 import digest_of, hex_digest
from buildrules.store.records import canonical, canonical_text
from buildrules.typed import Any

SCHEMA = "buildrules-key-2"

_WALKED = 512
"""So many outputs are remembered as they were walked."""


class Listing:
    """What the walk of a step saw, one named value at a time: `why` prints it, and the key is a hash of the same walk.

    Names are path-like and unique in a step. `sees` has values as they are, but a digest of what seems to be a secret:
    explanations are shown.
    """

    __slots__ = ("_stream", "sees")

    def __init__(self) -> None:
        self.sees: dict[str, str] = {}
        self._stream: list[bytes] = []

    def value(self, name: str, value: str) -> None:
        """Take one input. Names and values are hashed with their lengths: no two walks give the same stream."""
        first, second = name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        self._stream.append(b"%d:%b%d:%b" % (len(first), first, len(second), second))
        for group in (".environment.", ".headers."):
            if group in name and seems_secret(name.rpartition(group)[2].strip('"')):
                value = f"sha256:{hex_digest(second)}"
                break
        self.sees[name] = value

    def take(self, other: "Listing") -> None:
        """Go on with what another listing saw."""
        self._stream += other._stream
        self.sees.update(other.sees)

    def key(self) -> str:
        """The key, 64 hex digits."""
        return hex_digest(SCHEMA.encode() + b"".join(self._stream))

    def digest(self) -> str:
        """`sha256:<hex>` of what was seen as canonical JSON."""
        return digest_of(canonical(self.sees))


class Walker:
    """Walks steps. What many of them read, such as the layers of a base, is walked once."""

    def __init__(self) -> None:
        self._walked: dict[tuple[int, str], tuple[Outputs, Listing]] = {}

    def walk(self, step: Step) -> Listing:
        """See `walk`."""
        listing = Listing()
        _walk_step(step, listing)
        for number, dep in enumerate(step.deps):
            name = f"input[{number}] {dep.role}".rstrip()
            known = self._walked.get((id(dep.outputs), name))
            if known is None:
                known = (dep.outputs, Listing())
                _walk_outputs(name, dep.outputs, known[1])
                if len(self._walked) >= _WALKED:
                    self._walked.clear()
                self._walked[id(dep.outputs), name] = known
            listing.take(known[1])
        return listing


def walk(step: Step) -> Listing:
    """Everything that can influence the outputs of `step`, and nothing that names a place.

    A file goes by its name below its source set, a dependency by its role; what a dependency made enters, not how it
    was made: that is the early cutoff. Titles and paths stay outside: equal content has one key wherever it is.
    """
    return Walker().walk(step)


def _walk_step(step: Step, listing: Listing) -> None:
    listing.value("kind", f"{step.kind}/{step.version}")
    _walk_params("params", dict(step.params), listing)
    listing.value("sources", str(len(step.sources)))
    for number, files in enumerate(step.sources):
        for layer in sorted({file.layer for file in files if file.layer}):
            listing.value(f"sources[{number}]: small files", f"layer {layer}")
        for file in files:
            if not file.plain:
                listing.value(f"sources[{number}] {file.name}", f"link to {file.link}" if file.link else "empty folder")
                continue
            form = f"as layer /{file.as_layer} " if file.as_layer else ""
            digest = "" if file.layer else f"{form}{file.digest} "
            executable = " executable" if file.mode & 0o100 else ""
            listing.value(f"sources[{number}] {file.name}", f"{digest}{file.size} bytes{executable}")


def _walk_params(name: str, value: Any, listing: Listing) -> None:
    if type(value) is str:
        listing.value(name, canonical_text(value))
    elif isinstance(value, dict) and value:
        for key in sorted(value):
            _walk_params(f"{name}.{_quoted(key)}", value[key], listing)
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        listing.value(f"{name}.length", str(len(value)))
        for number, item in enumerate(value):
            _walk_params(f"{name}[{number}]", item, listing)
    else:
        listing.value(name, canonical_text(value) if type(value) is not int else str(value))


def _quoted(key: str) -> str:
    """A key as part of a name: quoted where it holds what names are made of, so that no two walks agree by accident."""
    if key.isascii() and key.isidentifier():
        return key
    return key if key.replace("_", "a").replace("-", "a").isalnum() else canonical_text(key)


def _walk_outputs(name: str, outputs: Outputs, listing: Listing) -> None:
    for number, layer in enumerate(outputs.layers):
        value = f"{layer.digest} {layer.size} bytes, {layer.media_type}, diff_id {layer.diff_id}"
        listing.value(f"{name}: layer {number}", value)
    _walk_params(f"{name}: values", outputs.values, listing)
    for blob in sorted(outputs.blobs):
        listing.value(f"{name}: blob {blob}", outputs.blobs[blob])
