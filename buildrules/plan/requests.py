"""The requests of a test, as its action takes them."""

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from buildrules.authoring.target import literal
from buildrules.document.nodes import Node
from buildrules.engine.action import SourceSet
from buildrules.errors import LoadError, Position
from buildrules.rules.package import PackageParts
from buildrules.rules.requests import at, node_of
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.suggest import did_you_mean

_CONTENT_TYPES = {".json": "application/json", ".csv": "text/csv", ".txt": "text/plain"}
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2: token

RELATIVE = 1e-6
"""How far numbers may be from those of an `expected_response`: the last digits differ from processor to processor."""


class Requests:
    """Makes the requests of one test; `sources` are the files they need, in the order of their numbers."""

    def __init__(self, parts: PackageParts) -> None:
        self._parts = parts
        self.sources: list[SourceSet] = []

    def source(self, path: str) -> int:
        """The number of the source that is this file."""
        directory, name = posixpath.split(path)
        source = SourceSet(directory, (literal(name),))
        if source not in self.sources:
            self.sources.append(source)
        return self.sources.index(source)

    def golden(self, path: str) -> dict[str, Any]:
        """The expectation that a body is what a file holds."""
        return {("json_source" if path.endswith(".json") else "text_source"): self.source(path)}

    def expected(self, path: str) -> dict[str, Any]:
        """The same for an `expected_response`: numbers may be a little off."""
        return self.golden(path) | {"tolerance": {"relative": RELATIVE}}

    def post(self, name: str, route: Mapping[str, Any], path: str, expect: dict[str, Any]) -> dict[str, Any]:
        """A request that sends the file `path` to a route."""
        return _posted(name, route, {"source": self.source(path)}, _content_type(path), expect)

    def post_text(self, name: str, route: Mapping[str, Any], text: str, expect: dict[str, Any]) -> dict[str, Any]:
        """A request that sends a JSON text to a route."""
        return _posted(name, route, {"text": text}, "application/json", expect)

    def request(self, target: ResolvedTarget, index: int) -> dict[str, Any]:
        """A request of a `package_test` target, as the action takes it. Raises LoadError."""
        row: dict[str, Any] = target.values["requests"][index]
        node = node_of(target, index)
        port, path = self._place(row, node)
        has_body = bool(row.keys() & {"body", "json", "file"})
        method = row.get("method") or ("POST" if has_body else "GET")
        body, content_type = self._body(row)
        headers = dict(row.get("headers") or {})
        _check_headers(headers, at(node, "headers"))
        if content_type and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = content_type
        return {
            "name": row.get("name") or f"{method} {path}",
            "method": method,
            "port": port,
            "path": path,
            "headers": headers,
            "body": body,
            "expect": self._expect(row.get("expect") or {"status": 200}, node),
        }

    def _place(self, row: dict[str, Any], node: Node | None) -> tuple[int, str]:
        routes = self._parts.server_part.routes
        if "path" in row:
            path = row["path"] if row["path"].startswith("/") else f"/{row['path']}"
            if not path.isascii() or any(char <= " " for char in path):
                raise LoadError(
                    f"{row['path']!r} is not the path of an address",
                    hint="write blanks and letters other than ASCII as %20 and the like",
                    position=at(node, "path"),
                )
            scoring = routes.get("scoring")
            port = row.get("port") or (scoring["port"] if scoring else next(iter(self._parts.ports), None))
            if port is None:
                raise LoadError("the package has no port", hint="add `port:`", position=at(node, "path"))
            return port, path
        name = row.get("route", "scoring")
        if name not in routes:
            hint = did_you_mean(name, routes, what="its routes") or "write `path:` and `port:` instead"
            raise LoadError(f"the package has no {name} route", hint=hint, position=at(node, "route"))
        return row.get("port") or routes[name]["port"], routes[name]["path"]

    def _body(self, row: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
        if "body" in row:
            return {"text": row["body"]}, "text/plain"
        if "json" in row:
            return {"text": json.dumps(row["json"])}, "application/json"
        if "file" in row:
            return {"source": self.source(row["file"])}, _content_type(row["file"])
        return None, None

    def _expect(self, said: dict[str, Any], node: Node | None) -> dict[str, Any]:
        import jsonpath

        expect = {key: value for key, value in said.items() if key != "file"}
        if "file" in said:
            expect |= self.golden(said["file"])
        for query in expect.get("json_path") or {}:
            try:
                jsonpath.compile(query)
            except jsonpath.JSONPathError as error:
                where = at(node, "expect", "json_path", query)
                reason = str(error).splitlines()[0]
                raise LoadError(
                    f"'{query}' is not a JSONPath query: {reason}", hint="such as $.rows[0].score", position=where
                ) from error
        return expect


def _posted(
    name: str, route: Mapping[str, Any], body: dict[str, Any], content_type: str, expect: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "method": "POST",
        "port": route["port"],
        "path": route["path"],
        "headers": {"Content-Type": content_type},
        "body": body,
        "expect": expect,
    }


def _content_type(path: str) -> str:
    return _CONTENT_TYPES.get(posixpath.splitext(path)[1].lower(), "application/octet-stream")


def _check_headers(headers: Mapping[str, str], position: Position | None) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isascii() or any(char < " " for char in value):
            raise LoadError(f"{name!r}: {value!r} is not an HTTP header", position=position)
