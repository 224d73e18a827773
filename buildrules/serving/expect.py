"""What an answer must be like, as a test says it, and what is wrong with the one that came.

An expectation is a map of plain JSON types:

    status      the HTTP status; 200 where it is left out
    headers     name -> value; for content-type what stands before a semicolon is enough
    json        the whole body, as JSON
    text        the whole body, as text
    bytes       the whole body, byte by byte (the one type that is not JSON's)
    lines       how many lines the body has
    json_path   query (JSONPath, RFC 9535) -> what it finds: the value where the query names one place, else a list
    contains    texts that stand in the body
    tolerance   {"absolute": n, "relative": n} for the numbers of `json` and `json_path`, and for those that stand in
                a `text` or `bytes`

One that says nothing about the body wants one that is not empty, and sound JSON where it is called JSON. Of a file
everything counts but `status` and `headers`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.serving.compare import EXACT, MOST_VALUES, Tolerance, diff, differences, near, too_many, unified
from buildrules.serving.request import Answer

Failure = dict[str, str]
_SHOWN = 2000  # characters of a body
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # as `splitlines` has them


def failures(expect: Mapping[str, Any], answer: Answer) -> Iterator[Failure]:
    """What is wrong with the answer: {"kind", "message"} and where there is more to show `detail`."""
    status = expect.get("status", 200)
    if answer.status != status:
        message = f"status {answer.status} instead of {status}"
        yield {"kind": "wrong status", "message": message, "detail": excerpt(answer.body)}
    for name, value in (expect.get("headers") or {}).items():
        found, loose = answer.headers.get(name.lower()), name.lower() == "content-type" and ";" not in value
        if found is None:
            yield {"kind": "wrong header", "message": f"no header '{name}', which is to be '{value}'"}
        elif not (loose and value.lower() == found.partition(";")[0].strip().lower()) and value != found:
            yield {"kind": "wrong header", "message": f"header '{name}' is '{found}' instead of '{value}'"}
    if answer.status == status:
        yield from _body(expect, answer, "the answer")


def file_failures(expect: Mapping[str, Any], content: bytes) -> Iterator[Failure]:
    """The same for the content of a file."""
    yield from _body(expect, Answer(200, {}, content, 0.0), "the file")


def excerpt(body: bytes) -> str:
    """A body as a report shows it: the beginning, as text."""
    text = body[: _SHOWN * 4].decode(errors="replace")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _body(expect: Mapping[str, Any], answer: Answer, what: str) -> Iterator[Failure]:
    silent = not expect.keys() & {"json", "text", "bytes", "lines", "json_path", "contains"}
    if silent and answer.status != 200:
        return
    if silent and not answer.body:
        yield {"kind": "wrong answer", "message": f"{what} is empty"}
        return
    tolerance = Tolerance(**(expect.get("tolerance") or {}))
    for key in expect.keys() & {"text", "bytes"}:
        wanted = expect[key]
        yield from _text(wanted.encode() if isinstance(wanted, str) else wanted, answer.body, tolerance, what)
    count = sum(1 for _ in _LINE.finditer(answer.body)) if "lines" in expect else None
    if count != expect.get("lines"):
        message = f"{what} has {count} lines instead of {expect['lines']}"
        yield {"kind": "wrong answer", "message": message, "detail": excerpt(answer.body)}
    for part in expect.get("contains") or ():
        if part not in answer.body.decode(errors="replace"):
            message = f"{what} does not hold {part!r}"
            yield {"kind": "wrong answer", "message": message, "detail": excerpt(answer.body)}
    is_json = answer.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    if "json" not in expect and "json_path" not in expect and not (silent and is_json):
        return
    if too_many(answer.body):
        message = f"{what} holds more than {MOST_VALUES} values, which are not compared"
        yield {"kind": "wrong answer", "message": message, "detail": excerpt(answer.body)}
        return
    try:
        got = json.loads(answer.body)
        yield from _json(expect, got, tolerance)
    except RecursionError:
        yield {"kind": "wrong answer", "message": f"{what} is nested too deeply to be compared"}
    except ValueError:
        yield {"kind": "wrong answer", "message": f"{what} is not JSON", "detail": excerpt(answer.body)}


def _text(wanted: bytes, body: bytes, tolerance: Tolerance, what: str) -> Iterator[Failure]:
    if body == wanted:
        return
    if max(wanted.count(b"\n"), body.count(b"\n")) > MOST_VALUES:
        message = f"{what} is another text, of more lines than are compared"
        yield {"kind": "wrong answer", "message": message, "detail": excerpt(body)}
        return
    left, right = (_visible(text.decode(errors="replace")) for text in (wanted, body))
    if tolerance != EXACT:
        right = near(left, right, tolerance)
        if left == right:
            return
    yield {"kind": "wrong answer", "message": f"{what} is another text", "detail": unified(left, right)}


def _visible(text: str) -> list[str]:
    """Lines, of which the last says so where it has no end."""
    lines = text.splitlines(keepends=True)
    marked = [line.rstrip("\n") for line in lines]
    if lines and not lines[-1].endswith("\n"):
        marked.append("\\ no newline at the end")
    return marked


def _json(expect: Mapping[str, Any], got: Any, tolerance: Tolerance) -> Iterator[Failure]:
    if "json" in expect:
        found = differences(expect["json"], got, tolerance)
        first = next(found, None)
        if first is not None:
            others = sum(1 for _ in found)
            more = f" (and {others} more)" if others else ""
            detail = diff(expect["json"], got, tolerance)
            yield {"kind": "wrong answer", "message": f"{first}{more}", "detail": detail}
    for query, wanted in (expect.get("json_path") or {}).items():
        yield from _query(query, wanted, got, tolerance)


def _query(query: str, wanted: Any, got: Any, tolerance: Tolerance) -> Iterator[Failure]:
    import jsonpath

    path = jsonpath.compile(query)
    # it takes a text for JSON that is still to be read
    matches: Any = path.findall(json.dumps(got) if isinstance(got, str) else got)
    if not isinstance(path, jsonpath.CompoundJSONPath) and path.singular_query():
        if not matches:
            detail = excerpt(json.dumps(got, ensure_ascii=False).encode())
            yield {"kind": "wrong answer", "message": f"there is nothing at {query}", "detail": detail}
            return
        matches = matches[0]
    found = next(differences(wanted, matches, tolerance), None)
    if found is not None:
        message = f"{query}: {found if found.path else found.message}"
        yield {"kind": "wrong answer", "message": message, "detail": diff(wanted, matches, tolerance)}
