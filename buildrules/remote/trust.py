"""Whether a record from elsewhere may be used: who signed it, for which namespace, and for which key.

What is refused under which policy:

                                                     off      warn     require
    for another key or namespace (replayed)          refused  refused  refused
    signature is not the writer's (tampered with)    used     refused  refused
    the writer may not write there                   used     refused  refused
    unsigned, or by a writer that is not known       used     told     refused

See docs/explanation/trust.md for whom that keeps out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from buildrules.remote.envelope import Envelope
from buildrules.remote.keys import PublicKey, is_writer
from buildrules.typed import NamedTuple

POLICIES = ("off", "warn", "require")

REPLAYED = "of another key or namespace than asked for"
UNSIGNED = "unsigned"
UNKNOWN = "by an unknown writer"
FORGED = "with a wrong signature"
FOREIGN = "of a foreign namespace"
_SHOWN = 5  # unknown writers that are named
_TOLD = (UNSIGNED, UNKNOWN)  # used where the policy is to warn
_CHANGED = "somebody changed or moved what another one wrote; to see which they are: buildrules cache audit --each"
_WAYS = (
    (FORGED, _CHANGED),
    (REPLAYED, _CHANGED),
    (FOREIGN, "their keys are for other namespaces: buildrules cache key list"),
    (UNSIGNED, "who writes signs: buildrules cache key new NAME"),
)


class Verdict(NamedTuple):
    """Whether a record may be used, and what is wrong with it: "" or one of the words above."""

    accepted: bool
    why: str = ""


class Trust:
    """Judges records, and counts what it found. Safe for concurrent threads."""

    def __init__(self, policy: str = "off", keys: Iterable[PublicKey] = ()) -> None:
        """`policy` is one of POLICIES; `keys` are those of the writers that are trusted."""
        self.policy = policy
        self._keys: dict[str, PublicKey] = {}
        for key in keys:  # one that is named twice counts for the namespaces of both
            known = self._keys.get(key.writer, key)
            self._keys[key.writer] = key._replace(namespaces=(*known.namespaces, *key.namespaces))
        self._used: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._strangers: set[str] = set()
        self._lock = Lock()

    def judge(self, envelope: Envelope, key: str, namespace: str) -> Verdict:
        """Whether the record that was found for `key` in `namespace` may be used."""
        why = self._wrong(envelope, key, namespace)
        told = why in _TOLD and self.policy == "warn"
        verdict = Verdict(not why or told, why)
        with self._lock:
            (self._used if verdict.accepted else self._refused)[why] += 1
            if why == UNKNOWN and len(self._strangers) < _SHOWN:
                self._strangers.add(envelope.writer if is_writer(envelope.writer) else "(no name)")
        return verdict

    def _wrong(self, envelope: Envelope, key: str, namespace: str) -> str:
        if (envelope.key, envelope.namespace) != (key, namespace):
            return REPLAYED
        if self.policy == "off":
            return ""
        if not envelope.writer or not envelope.signature:
            return UNSIGNED
        writer = self._keys.get(envelope.writer)
        if writer is None:
            return UNKNOWN
        if not _signed(envelope, writer):
            return FORGED
        return "" if writer.may_write(namespace) else FOREIGN

    def objection(self, writer: str, namespace: str) -> str | None:
        """Why nobody with this trust would use what `writer` signs in `namespace`; None where they would."""
        key = self._keys.get(writer)
        if self.policy == "off" or (key is not None and key.may_write(namespace)):
            return None
        if key is None:
            return f"the key {writer!r} is not among the public keys of this workspace"
        return f"the key {writer!r} is for {', '.join(dict.fromkeys(key.namespaces))}, not for {namespace!r}"

    def remedy(self, writer: str, namespace: str) -> str:
        """What to do about an `objection`."""
        if writer in self._keys:
            return f"make a key for it: buildrules cache key new NAME --namespace {namespace}"
        return "get the file of its public key, and commit that it counts: buildrules cache key trust FILE"

    def lines(self) -> list[str]:
        """What there is to tell at the end of a build: nothing, or warnings of a line and a hint each."""
        with self._lock:
            used, refused, strangers = Counter(self._used), Counter(self._refused), sorted(self._strangers)
        told = {why: count for why, count in used.items() if why}
        found = []
        if told:
            found.append(
                f"{_records(told)} used without a trusted signature: {_counted(told)}{_way_out(told, strangers)}"
            )
        if refused and not used:  # a wrong key must not look like an empty cache
            found.append(
                f"nothing was taken from the cache: {_records(refused)} refused, {_counted(refused)}"
                + _way_out(refused, strangers)
            )
        elif refused:
            found.append(f"{_records(refused)} refused: {_counted(refused)}{_way_out(refused, strangers)}")
        return found


def _signed(envelope: Envelope, writer: PublicKey) -> bool:
    try:
        return writer.verifies(envelope.signature, envelope.signed())
    except (ValueError, RecursionError):  # nobody can have signed it
        return False


def _records(counts: Mapping[str, int]) -> str:
    number = sum(counts.values())
    return f"{number} record{'s' if number > 1 else ''} of the cache {'were' if number > 1 else 'was'}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(counts.items()))


def _way_out(counts: Mapping[str, int], strangers: Sequence[str]) -> str:
    """What to do about the first of what is wrong."""
    if UNKNOWN in counts:
        hint = (
            f"written by {', '.join(strangers)}; to trust one of them, get the file of its "
            "public key: buildrules cache key trust FILE"
        )
    else:
        hint = next(hint for why, hint in _WAYS if why in counts)
    return f"\n  hint: {hint}"
