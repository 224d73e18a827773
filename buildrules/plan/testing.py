"""Plans tests: of a package with its own requests, and of `package_test` targets."""

from collections.abc import Mapping
from typing import Any

from buildrules.engine.action import Action
from buildrules.engine.plan import Goal, Plan
from buildrules.errors import UsageError
from buildrules.plan.info import MLFLOW_EXAMPLE, mlflow_example, takes_mlflow_example
from buildrules.plan.model import ModelPlanner
from buildrules.plan.package import PackagePlanner
from buildrules.plan.requests import Requests
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.serving.platform import emulated, host_platform
from buildrules.serving.session import STOPPED
from buildrules.workspace.labels import Label, Patterns

RELATIVE = 1e-6
"""How far numbers may be from those of an `expected_response`: the last digits differ from processor to processor."""

_ENVELOPES = {"azureml_online": "input_data", "mlflow": "mlflow"}
_READY_SECONDS = 120.0
_STOP_SECONDS = 10.0


class TestPlanner:
    """Plans the tests of one plan. `options` are the command line's: runner, timeout, platform."""

    def __init__(
        self,
        plan: Plan,
        packages: PackagePlanner,
        models: ModelPlanner,
        parts: Mapping[Label, PackageParts],
        resolution: Resolution,
        options: Mapping[str, Any],
    ) -> None:
        self._plan = plan
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
            asked = Requests(parts)
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
            asked = Requests(parts)
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
        asked: Requests,
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

    def _own(self, parts: PackageParts, asked: Requests) -> list[dict[str, Any]]:
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
            requests.append(asked.post("sample_request", scoring, values["sample_request"], expect))
        example = self._example(parts, scoring, asked)
        if example is not None:
            example["body"]["envelope"] = _ENVELOPES[parts.server.rule.implementation or ""]
            requests.append(example)
        return requests

    def _example(self, parts: PackageParts, scoring: Mapping[str, Any], asked: Requests) -> dict[str, Any] | None:
        """The request that is the example of the package's MLflow model, wherever that is; None where it has none."""
        if parts.model is None or not takes_mlflow_example(parts):
            return None
        text = self._models.text(parts.model, MLFLOW_EXAMPLE)
        path = mlflow_example(parts)
        if text is None:
            return None
        if path is not None:
            return asked.post(MLFLOW_EXAMPLE, scoring, path, {"status": 200})
        return asked.post_text(MLFLOW_EXAMPLE, scoring, text.decode(errors="replace"), {"status": 200})


def not_a_test(target: ResolvedTarget) -> UsageError:
    """The error for a target that was named and cannot be tested."""
    return UsageError(
        f"'{target.label}' provides {target.provides}, which cannot be tested", hint="test the package it is part of"
    )


def _no_request(parts: PackageParts) -> str:
    if "scoring" not in parts.server_part.routes:
        return "its server has no scoring route: write a package_test target with `path:`"
    return "no request: add `sample_request:` to it, or a package_test target"
