"""Finds a text in another, however it is written there: as it is, escaped, encoded, or over several lines.

One reader for all escapes, so that they may be mixed and nested: backslashes (JSON, RFC 8259, 7; shells; Python; Rust),
`%41` (RFC 3986, 2.1), `&quot;` and `&#65;` (HTML), `=41` (RFC 2045, 6.7), doubled quotes. Every way to read a place is
followed at once, and none twice, so the time grows with the text and never with the number of ways.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator

TOLD = 8  # so many characters of a text tell enough of it to be found where the other one is cut off

_LEAD = re.compile(r"[\\%&=]")
_SIGNS = frozenset("\\%&=^`+")
_SKIPPED = frozenset(map(ord, "\\^`"))  # what escapes the next letter, in one language or another
_SKIPS = 16  # of them before one letter
_ESCAPES = (
    (re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|u([0-9a-f]{4})|x([0-9a-f]{2}))", re.I), 16),
    (re.compile(r"\\U([0-9A-Fa-f]{8})"), 16),
    (re.compile(r"\\([0-7]{1,3})"), 8),
    *((re.compile(rf"%(?:25){{{nested}}}([0-9a-f]{{2}})", re.I), 16) for nested in range(5)),
    (re.compile(r"=([0-9a-f]{2})", re.I), 16),
    (re.compile(r"&(?:amp;){0,4}#x([0-9a-f]{1,6});", re.I), 16),
    (re.compile(r"&(?:amp;){0,4}#([0-9]{1,7});"), 10),
)
"""Escapes by number, each with the number's base."""
_CONTROL = re.compile(r"\\([nrt])")
_CONTROLS = {"n": 10, "r": 13, "t": 9}
_NAMED = re.compile(r"&(?:amp;){0,4}([A-Za-z]{2,8});")
_BETWEEN = re.compile(
    r"([ \t'\"\\=+.,^`]{0,8}(?:\r\n?|\n|(?:\\{1,16}[rn]){1,2}|(?:%0[ad]){1,2}|<br ?/?>))"
    r"(?:[\s│┃|>#'\"]|\\{1,16}[nrt]|%0[ad]){0,80}"
    r"|(?:['\"]|\x1b\[[0-9;]{0,20}m){1,8}",
    re.I,
)
"""What may stand inside of a text that is wrapped or quoted in pieces: a line's end and the next one's margin."""

_BREAK = re.compile(r"[ \t=\\]{0,8}\r?\n[\s│┃|>]{0,80}")


class Written:
    """A text of two characters or more that is looked for, in whatever case. `around` is a class of an expression:
    the characters beside it that may tell of it as well, such as those that base64 gives to the bits at its ends.
    """

    __slots__ = ("_around", "_begin", "letters", "text")

    def __init__(self, text: str, around: str = "") -> None:
        self.text = text
        self.letters = [_codes(letter) for letter in text]
        first, second = (
            "".join(re.escape(chr(codes[0])) for codes in self.letters[place] if not 0xD800 <= codes[0] < 0xE000)
            for place in (0, 1)
        )
        plus = "+" if text[0] == " " else ""
        self._begin = re.compile(rf"[{first}{plus}](?=[{second}\\%&=^`'\"\s+.,<\x1b]|$)", re.I)
        self._around = re.compile(f"[{around}]?=*", re.I) if around else None

    def begins(self, text: str) -> Iterator[int]:
        """Where it may begin as it is, and not with an escape."""
        return (found.start() for found in self._begin.finditer(text))

    def end(self, text: str, at: int) -> int:
        """Where it ends that begins at `at`, or is cut off by the text's end; 0 where it does not."""
        places = {at}
        for number, letter in enumerate(self.letters):
            if number >= TOLD and len(text) in places:
                return len(text)
            reached: set[int] = set()
            for place in places:
                for begin in _begins(text, place) if number else (place,):
                    for codes in letter:
                        reached |= _after(text, begin, codes)
            if not reached:
                return 0
            places = reached
        return max(places)

    def widened(self, text: str, start: int, end: int) -> tuple[int, int]:
        """The same place with what tells of it around."""
        if self._around is None:
            return start, end
        before = self._around.match(text, start - 1) if start else None
        after = self._around.match(text, end)
        return start - 1 if before and before.end() == start else start, after.end() if after else end


class Wanted:
    """Texts that are looked for together."""

    def __init__(self) -> None:
        self._all: dict[str, Written] = {}
        self._first: dict[int, list[Written]] = {}  # by the numbers their first letters may be written by

    def add(self, one: Written) -> None:
        """Look for this one from now on."""
        if one.text not in self._all:
            for codes in one.letters[0]:
                self._first.setdefault(codes[0], []).append(one)
            self._all = {**self._all, one.text: one}  # another thread may be reading

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where they stand in `text`: (start, end), in no order."""
        if not self._all:
            return
        yield from self._within(text)
        breaks = list(_BREAK.finditer(text))
        if breaks:  # one may be in the middle of an escape
            joined = _BREAK.sub("", text)
            removed = list(itertools.accumulate(found.end() - found.start() for found in breaks))
            places = [found.end() - total for found, total in zip(breaks, removed)]
            for start, end in self._within(joined):
                before, after = bisect.bisect_right(places, start), bisect.bisect_left(places, end)
                yield start + (removed[before - 1] if before else 0), end + (removed[after - 1] if after else 0)

    def _within(self, text: str) -> Iterator[tuple[int, int]]:
        for one in self._all.values():
            yield from self._found(text, ((place, one) for place in one.begins(text)))
        escaped = ((found.start(), code) for found in _LEAD.finditer(text) for code, _ in _escapes(text, found.start()))
        yield from self._found(text, ((place, one) for place, code in escaped for one in self._first.get(code, ())))

    def covered(self, text: str) -> str:
        """`text` with `***` in place of each."""
        parts, last = [], 0
        for start, end in sorted(self.spans(text)):
            if start >= last:
                parts += [text[last:start], "***"]
            last = max(last, end)
        return "".join([*parts, text[last:]])

    def _found(self, text: str, begins: Iterable[tuple[int, Written]]) -> Iterator[tuple[int, int]]:
        last: dict[str, int] = {}
        for place, one in begins:
            if place >= last.get(one.text, 0):
                end = one.end(text, place)
                if end:
                    last[one.text] = end
                    yield one.widened(text, place, end)


def _codes(letter: str) -> list[tuple[int, ...]]:
    """The numbers that a letter is written by: its own, its bytes in UTF-8, its pair in UTF-16; in either case."""
    found: dict[tuple[int, ...], None] = {}
    for one in (letter, letter.lower(), letter.upper()):
        if len(one) != 1:
            continue
        found[(ord(one),)] = None
        if not one.isascii():
            found[tuple(one.encode("utf-8", "surrogatepass"))] = None
            pair = one.encode("utf-16-be", "surrogatepass")
            found[tuple(int.from_bytes(pair[place : place + 2], "big") for place in range(0, len(pair), 2))] = None
    return list(found)


def _begins(text: str, place: int) -> Iterable[int]:
    """Where the next letter may begin after one that ends at `place`."""
    between = _BETWEEN.match(text, place)
    if between is None:
        return (place,)
    return (place, *range(between.end(1) if between[1] else place + 1, between.end() + 1))


def _after(text: str, place: int, codes: tuple[int, ...]) -> set[int]:
    """Where these numbers end that are written from `place` on."""
    places = {place}
    for code in codes:
        places = {end for begin in places for end in _read(text, begin, code)}
    return places


def _read(text: str, place: int, code: int) -> Iterator[int]:
    """The ends of every way to read the number `code` at `place`."""
    if text[place : place + 1] == chr(code):
        yield place + 1  # most often; more ways are tried below
    if text[place : place + 1] not in _SIGNS:
        return
    places = {place}
    for _ in range(_SKIPS):
        units = [unit for one in places for unit in _units(text, one)]
        yield from (end for found, end in units if found == code)
        places = {end for found, end in units if found in _SKIPPED}
        if not places:
            return


def _units(text: str, place: int) -> Iterator[tuple[int, int]]:
    """What a letter or an escape at `place` may stand for: (number, where it ends)."""
    if place < len(text):
        yield ord(text[place]), place + 1
    if text[place : place + 1] == "+":
        yield ord(" "), place + 1
    elif text[place : place + 2] == "%%":
        yield ord("%"), place + 2
    yield from _escapes(text, place)


def _escapes(text: str, place: int) -> Iterator[tuple[int, int]]:
    for expression, base in _ESCAPES:
        found = expression.match(text, place)
        if found:
            yield int(next(filter(None, found.groups())), base), found.end()
    control = _CONTROL.match(text, place)
    if control:
        yield _CONTROLS[control[1]], control.end()
    named = _NAMED.match(text, place)
    if named:
        from html.entities import html5

        letter = html5.get(named[1] + ";", "")
        if len(letter) == 1:
            yield ord(letter), named.end()
