"""Plans tests: of a package with its own requests, and of `package_test` targets."""

import json
import os
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Goal, Plan
from buildrules.errors import LoadError, Position, UsageError
from buildrules.plan.model import ModelPlanner, literal
from buildrules.plan.package import PackagePlanner
from buildrules.rules.package import PackageParts
from buildrules.rules.requests import at, node_of
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.serving.platform import emulated, host_platform
from buildrules.serving.session import STOPPED
from buildrules.workspace.labels import Label, Patterns
from buildrules.workspace.nodes import Node
from buildrules.workspace.suggest import did_you_mean

RELATIVE = 1e-6
"""How far numbers may be from those of an `expected_response`: the last digits differ from processor to processor."""

MLFLOW_EXAMPLE = "serving_input_example.json"
"""The request MLflow keeps with a model, in the form of its own server."""

_ENVELOPES = {"azureml_online": "input_data", "mlflow": "mlflow"}
_READY_SECONDS = 120.0
_STOP_SECONDS = 10.0
_CONTENT_TYPES = {".json": "application/json", ".csv": "text/csv", ".txt": "text/plain"}
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2: token


class TrialPlanner:
    """Plans the tests of one plan. `options` are the command line's: runner, timeout, platform."""

    def __init__(
        self,
        plan: Plan,
        root: str,
        packages: PackagePlanner,
        models: ModelPlanner,
        parts: Mapping[Label, PackageParts],
        resolution: Resolution,
        options: Mapping[str, Any],
    ) -> None:
        self._plan = plan
        self._root = root
        self._packages = packages
        self._models = models
        self._parts = parts
        self._tests = [resolution.of(label) for label in resolution.labels("test")]
        self._options = options

    def select(self, selected: list[Label], patterns: Patterns) -> list[Label]:
        """The selected labels, and the test targets of the selected packages unless they were left out."""
        chosen = set(selected)
        for test in self._tests:
            left_out = any(pattern.matches(test.label) for pattern in patterns.excludes)
            if test.deps["package"][0] in chosen and not left_out:
                chosen.add(test.label)
        return sorted(chosen)

    def goal(self, target: ResolvedTarget, platform: str) -> Goal | None:
        """The goal that tests a target; None for one that cannot be tested, and for a package that only test targets
        test. Raises LoadError and what planning a package raises.
        """
        if target.provides == "test":
            parts = self._parts[target.deps["package"][0]]
            asked = _Asked(parts)
            requests = [asked.request(target, index) for index in range(len(target.values["requests"]))]
            values = target.values
            settings = {
                "environment": values["environment"],
                "ready_timeout": float(values["ready_timeout"]),
                "stop_timeout": float(values["stop_timeout"]),
                "exit_codes": list(values["exit_codes"]) if values["clean_stop"] else None,
            }
            if not requests:
                return self._untested(target.label, platform, "it has no requests: a health route proves nothing")
        elif target.provides == "package":
            parts = self._parts[target.label]
            asked = _Asked(parts)
            requests = self._own(parts, asked)
            settings = {
                "environment": {},
                "ready_timeout": _READY_SECONDS,
                "stop_timeout": _STOP_SECONDS,
                "exit_codes": list(STOPPED),
            }
            if not requests:
                if any(test.deps["package"][0] == target.label for test in self._tests):
                    return None
                return self._untested(target.label, platform, _no_request(parts))
        else:
            return None
        if not self._options.get("platform") and platform != host_platform() and not emulated(platform):
            reason = f"it is built for {platform}, and this machine runs {host_platform()}"
            return self._untested(target.label, platform, reason)
        return self._tested(target.label, platform, parts, asked, requests, settings)

    def _tested(
        self,
        label: Label,
        platform: str,
        parts: PackageParts,
        asked: "_Asked",
        requests: list[dict[str, Any]],
        settings: dict[str, Any],
    ) -> Goal:
        image = self._packages.package(parts, platform)
        routes = parts.server_part.routes
        ready = routes.get("readiness") or routes.get("liveness")
        ports = {*parts.ports, *(route["port"] for route in routes.values()), *(item["port"] for item in requests)}
        params = {
            "package": str(parts.package.label),
            "platform": platform,
            "requests": requests,
            "ready": f"{ready['port']}{ready['path']}" if ready else None,
            "port": requests[0]["port"],
            "ports": sorted(ports),
            "network": any(placed.mode != "copy" for placed in parts.placed),
            **settings,
        }
        action = Action(
            id=f"{label} {platform} test",
            target=str(label),
            kind="package_test",
            title=f"test {label}",
            params=params,
            sources=tuple(asked.sources),
            deps=(image.action, *self._plan.actions[image.action].deps),
            weight=10.0,
            hints={
                "runner": self._options.get("runner"),
                "timeout": self._options.get("timeout"),
                "name": image.info["name"],
            },
        )
        names = [item["name"] for item in requests]
        info = {"package": str(parts.package.label), "requests": names}
        return Goal(str(label), platform, self._plan.add(action), "test", info)

    def _untested(self, label: Label, platform: str, reason: str) -> Goal:
        """A goal of a step that does nothing."""
        action = Action(
            id=f"{label} {platform} not tested",
            target=str(label),
            kind="group",
            title=f"no test of {label}",
            weight=0.0,
        )
        return Goal(str(label), platform, self._plan.add(action), "untested", {"reason": reason})

    def _own(self, parts: PackageParts, asked: "_Asked") -> list[dict[str, Any]]:
        """The requests a package brings along."""
        scoring = parts.server_part.routes.get("scoring")
        if scoring is None:
            return []
        values = parts.package.values
        requests = []
        if values["sample_request"] is not None:
            expect: dict[str, Any] = {"status": 200}
            if values["expected_response"] is not None:
                expect |= asked.golden(values["expected_response"])
                if "json_source" in expect:
                    expect["tolerance"] = {"relative": RELATIVE}
            requests.append(_posted("sample_request", scoring, asked, values["sample_request"], expect))
        envelope = _ENVELOPES.get(parts.server.rule.implementation or "")
        path = parts.model.values.get("path") if parts.model is not None else None
        if parts.flavour == "mlflow" and path is not None and envelope and (parts.code is None or parts.generated_code):
            example = posixpath.join(path, MLFLOW_EXAMPLE)
            self._models.looked_at.add(example)
            if os.path.isfile(os.path.join(self._root, example)):
                request = _posted(MLFLOW_EXAMPLE, scoring, asked, example, {"status": 200})
                request["body"]["envelope"] = envelope
                requests.append(request)
        return requests


class _Asked:
    """The requests of one test, and the files they need as sources."""

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


def _posted(name: str, route: Mapping[str, Any], asked: _Asked, path: str, expect: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "method": "POST",
        "port": route["port"],
        "path": route["path"],
        "headers": {"Content-Type": _content_type(path)},
        "body": {"source": asked.source(path)},
        "expect": expect,
    }


def not_a_test(target: ResolvedTarget) -> UsageError:
    """The error for a target that was named and cannot be tested."""
    return UsageError(
        f"'{target.label}' provides {target.provides}, which cannot be tested", hint="test the package it is part of"
    )


def _no_request(parts: PackageParts) -> str:
    if "scoring" not in parts.server_part.routes:
        return "its server has no scoring route: write a package_test target with `path:`"
    return "no request: add `sample_request:` to it, or a package_test target"


def _content_type(path: str) -> str:
    return _CONTENT_TYPES.get(posixpath.splitext(path)[1].lower(), "application/octet-stream")


def _check_headers(headers: Mapping[str, str], position: Position | None) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isascii() or any(char < " " for char in value):
            raise LoadError(f"{name!r}: {value!r} is not an HTTP header", position=position)
