"""A secret stays hidden however a server or a tool writes it."""

import base64
import html
import json
import quopri
import shlex
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.credentials.redact import scrub
from buildrules.start.secret import conceal, hide

Form = Callable[[str], str]
PRINTABLE = "".join(letter for letter in string.printable if letter >= " ")
CANARY = f'"\\{PRINTABLE}ü€'


def wrapped(text: str, width: int, end: str) -> str:
    return end.join(text[place : place + width] for place in range(0, len(text), width))


def escaped(pattern: str) -> Form:
    return lambda text: "".join(pattern.format(ord(letter)) for letter in text)


def with_others(before: str, encode: Callable[[bytes], bytes] = base64.b64encode, after: str = "") -> Form:
    return lambda text: encode(f"{before}{text}{after}".encode()).decode()


FORMS: dict[str, Form] = {
    "exact": str,
    "upper case": str.upper,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "Rust": lambda text: text.replace("\\", "\\\\").replace('"', '\\"').replace("ü", "\\u{fc}"),
    "shell": lambda text: shlex.quote(text).strip("'"),
    "shell, backslashes": lambda text: "".join(f"\\{letter}" for letter in text),
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded as a form": quote_plus,
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent-encoded in full": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "HTML": html.escape,
    "HTML in HTML": lambda text: html.escape(html.escape(text)),
    "HTML, numbers": escaped("&#{};"),
    "\\u": lambda text: "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H")),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "quoted-printable": lambda text: quopri.encodestring(text.encode(), quotetabs=True).decode(),
    "only ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "only ASCII, with marks": lambda text: text.encode("ascii", "replace").decode(),
    "Latin-1 read as UTF-8": lambda text: text.encode("latin-1", "replace").decode("utf-8", "replace"),
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
    "hexadecimal": lambda text: text.encode().hex(),
    "lines": lambda text: wrapped(text, 7, "\n"),
    "lines of one": lambda text: wrapped(text, 1, "\r\n"),
    "lines in a frame": lambda text: wrapped(text, 9, "\n  │ "),
    "lines in JSON": lambda text: json.dumps(wrapped(text, 9, "\n"))[1:-1],
    "literals over lines": lambda text: wrapped(text, 9, "'\n    '"),
    "percent-encoded over lines": lambda text: wrapped(quote(text, safe=""), 9, "\n"),
    "base64": with_others(""),
    "base64 for addresses": with_others("", base64.urlsafe_b64encode),
    "base64 after one": with_others("a"),
    "base64 after two": with_others("ab"),
    "base64 after a user": with_others("user:", base64.urlsafe_b64encode),
    "base64 amid others": with_others('{"a": ', after="}"),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"a": text}).encode()).decode(),
    "base64 over lines": with_others("user:", base64.encodebytes),
    "base64 over lines in JSON": lambda text: json.dumps(with_others("", base64.encodebytes)(text))[1:-1],
    "base64, percent-encoded": lambda text: quote(with_others("")(text), safe=""),
}


@pytest.mark.parametrize("name", FORMS)
def test_d3_every_printable_character_in_every_form(name: str) -> None:
    conceal([CANARY])
    shown = hide(f"<{FORMS[name](CANARY)}>")
    assert shown.startswith("<") and shown.endswith(">")
    assert shown.count("***") == 1 and len(shown) <= len('<{"a": "***"}>') * 4 / 3 + 4, shown


@pytest.mark.parametrize("name", FORMS)
def test_d3_each_printable_character_among_plain_ones(name: str) -> None:
    for letter in PRINTABLE:
        secret = f"s3cr{letter}Tk9{letter}x"
        conceal([secret])
        shown = hide(f"<{FORMS[name](secret)}>")
        assert shown.count("***") == 1 and len(shown) <= 24, (letter, shown)


@given(st.text(st.sampled_from(PRINTABLE + "ü€😀"), min_size=6, max_size=20), st.sampled_from(list(FORMS)))
def test_d3_any_text_in_any_form(secret: str, name: str) -> None:
    conceal([secret])
    assert "***" in hide(f"<{FORMS[name](secret)}>")


@pytest.mark.parametrize("inner", [name for name in FORMS if name not in ("lines in a frame", "literals over lines")])
@pytest.mark.parametrize("outer", ["JSON", "HTML", "repr"])
def test_d3_forms_of_forms(outer: str, inner: str) -> None:
    """As a tool quotes what a server has said."""
    secret = 'n3st"ed\\ %canary'
    conceal([secret])
    assert "***" in hide(f"<{FORMS[outer](FORMS[inner](secret))}>")


@pytest.mark.parametrize("inner", ["JSON", "JSON in JSON", "repr", "shell, backslashes", "percent-encoded", "base64"])
def test_d3_percent_encoded_forms(inner: str) -> None:
    secret = 'n3st"ed\\ %canary'
    conceal([secret])
    assert "***" in hide(f"<{FORMS['percent-encoded'](FORMS[inner](secret))}>")


def test_d3_a_text_that_ends_inside_of_a_secret() -> None:
    conceal(["cut-off-canary-0123456789"])
    assert hide("the server said: cut-off-canary-01") == "the server said: ***"


def test_d3_a_key_of_several_lines_and_one_of_its_lines() -> None:
    lines = ["-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB", "-----END KEY-----"]
    conceal(["\n".join(lines)])
    assert hide("x " + "\n".join(lines) + " y") == "x *** y"
    assert hide(f"x {lines[2]} y") == "x *** y"
    assert hide(json.dumps({"k": "\n".join(lines)})) == '{"k": "***"}'


def test_d3_a_secret_that_looks_like_an_address() -> None:
    """What takes logins out of addresses leaves no half of it."""
    conceal(["half?token=x://and@other-half"])
    shown = scrub("refused: half?token=x://and@other-half, and so on")
    assert shown == "refused: ***, and so on"


def test_innocent_texts_stay() -> None:
    conceal(["hunter2-Secret"])
    text = "resolved 12 packages: 'numpy'==2.3.1\n  error: \"hunter\" at C:\\x\\u0041 100%25 &amp; aHVudGVy, it says"
    assert hide(text) == text
