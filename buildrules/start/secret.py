"""Texts that must not be shown, whoever says them: a server may repeat what it was sent in any part of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 4  # what is shorter would take innocent words apart, and hides nothing
PIECE = 6
TELLING = 12  # so long a text does not stand in an answer by chance
_OUTSIDE = re.compile(r"[^a-z0-9.-]+")

_never: dict[str, None] = {}
_pieces: dict[str, None] = {}
_long: dict[str, None] = {}
_known: set[str] = set()


def conceal(secrets: Iterable[str]) -> None:
    """Never show these texts, nor their usual encodings."""
    for secret in secrets:
        if len(secret) < SHORTEST or secret in _known:
            continue
        _known.add(secret)
        forms = dict.fromkeys(_forms(secret))
        _never.update(forms)
        _pieces.update((piece, None) for form in forms for piece in _OUTSIDE.split(form.lower()) if len(piece) >= PIECE)
        if len(secret) >= TELLING:
            _long.update(forms)


def hide(text: str) -> str:
    """`text` without any secret this process has read, in whatever case it stands there."""
    for secret in sorted(_never, key=len, reverse=True):
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    return text


def repeats(text: str) -> bool:
    """Whether a text holds a secret that is too long to be there by chance."""
    lowered = text.lower()
    return any(secret.lower() in lowered for secret in list(_long))


def touches(host: str) -> bool:
    """Whether a piece of a secret stands in the name of a host, where not all of it has room."""
    lowered = host.lower()
    return any(piece in lowered for piece in list(_pieces))


def _forms(secret: str) -> Iterable[str]:
    from base64 import b64encode, urlsafe_b64encode
    from urllib.parse import quote, quote_plus

    data = secret.encode("utf-8", "surrogateescape")
    for form in (secret, b64encode(data).decode(), urlsafe_b64encode(data).decode()):
        yield from (form, form.rstrip("=") or form, quote(data if form == secret else form, safe=""))
    yield from (quote(data), quote_plus(data))
