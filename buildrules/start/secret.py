"""Texts that must not be shown, whoever says them: a server may repeat what it was sent in any part of an answer."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .written import Wanted, Written

SHORTEST = 4  # what is shorter would take innocent words apart, and hides nothing
PIECE = 6
TELLING = 12  # so long a text does not stand in an answer by chance
_OUTSIDE = r"[^a-z0-9.-]+"
_BASE64 = "A-Za-z0-9+/_-"

_wanted: dict[str, Wanted] = {}  # "all" secrets and the "long" ones; empty, and nothing to load, before the first
_pieces: dict[str, None] = {}
_known: set[str] = set()


def conceal(secrets: Iterable[str]) -> None:
    """Never show these texts, nor what they look like escaped or encoded, nor a long line of one."""
    from .written import Wanted

    for secret in secrets:
        if len(secret) < SHORTEST or secret in _known:
            continue
        _known.add(secret)
        never, long = (_wanted.setdefault(name, Wanted()) for name in ("all", "long"))
        for form in _forms(secret):
            never.add(form)
            _pieces.update((piece, None) for piece in re.split(_OUTSIDE, form.text.lower()) if len(piece) >= PIECE)
            if len(secret) >= TELLING:
                long.add(form)
        lines = secret.splitlines()
        if len(lines) > 1:
            conceal(line for line in lines if len(line) >= TELLING)


def hide(text: str) -> str:
    """`text` without any secret this process has read, however it is written (`written`)."""
    return _wanted["all"].covered(text) if _wanted else text


def repeats(text: str) -> bool:
    """Whether a text holds a secret that is too long to be there by chance."""
    return "long" in _wanted and next(_wanted["long"].spans(text), None) is not None


def touches(host: str) -> bool:
    """Whether a piece of a secret stands in the name of a host, where not all of it has room."""
    lowered = host.lower()
    return any(piece in lowered for piece in list(_pieces))


def _forms(secret: str) -> Iterator[Written]:
    """What a secret looks like to whoever looks for it: itself, and as it is encoded as a whole."""
    import json
    from base64 import b32encode, b64encode, urlsafe_b64encode
    from urllib.parse import quote

    from .written import Written

    data = secret.encode("utf-8", "surrogateescape")
    yield Written(secret)
    for other in dict.fromkeys(_without_letters(secret)):
        if other != secret and len(other.strip("?\ufffd")) >= PIECE:
            yield Written(other)
    yield Written(data.hex())
    yield Written(b32encode(data).decode().rstrip("=")[:-1])
    escaped = json.dumps(secret)[1:-1].encode()
    for inner in dict.fromkeys((data, escaped, quote(data, safe="").encode())):
        for encode in (b64encode, urlsafe_b64encode):
            for before in range(3):  # bytes that are encoded with it, such as a user's name and a colon
                text = encode(b"\0" * before + inner).decode()
                whole = len(text) - ((before + len(inner)) % 3 and 4 - (before + len(inner)) % 3)
                core = text[(0, 2, 3)[before] : whole]
                if len(core) >= SHORTEST:
                    yield Written(core, _BASE64)


def _without_letters(secret: str) -> Iterator[str]:
    """A text as it comes from where only ASCII passes, or from where its letters' bytes were taken for others."""
    for errors in ("ignore", "replace"):
        yield secret.encode("ascii", errors).decode()
    yield secret.encode("latin-1", "replace").decode("utf-8", "replace")
