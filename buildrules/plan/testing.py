"""Plans tests: of a package with its own requests, and of `package_test` targets."""

from collections.abc import Mapping
from typing import Any

from buildrules.actions.params import PackageTestParams, StartParams
from buildrules.analysis.loaded import Loaded
from buildrules.analysis.options import Options
from buildrules.analysis.selection import tests_of
from buildrules.engine.action import Action
from buildrules.engine.plan import Goal, Plan
from buildrules.locking.locks import Locks
from buildrules.oci.names import without_tag
from buildrules.plan.jobs import Jobs, needs_job
from buildrules.plan.package import PackagePlanner
from buildrules.plan.requests import Requests
from buildrules.rules.mlflow_example import MLFLOW_EXAMPLE, mlflow_example, takes_mlflow_example
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.serving.trial import STOPPED
from buildrules.start import huggingface, mlflow, s3
from buildrules.workspace.labels import Label

_AMBIENT = {
    "s3": (*s3.DEFAULTS.values(), "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    "mlflow": (mlflow.USER, mlflow.PASSWORD, mlflow.TOKEN),
    "huggingface": (huggingface.TOKEN, "HF_ENDPOINT"),
}
"""kind of source -> the variables it looks at where no connection gives it credentials."""

_READY_SECONDS = 120.0
_STOP_SECONDS = 10.0


class _Test:
    """What one test asks of a package: requests, or a job."""

    def __init__(self, parts: PackageParts, plan: Plan, locks: Locks) -> None:
        self.parts = parts
        self.asked = Requests(parts)
        self.jobs = Jobs(plan, locks, parts, self.asked)
        self.requests: list[dict[str, Any]] = []
        self.job: dict[str, Any] | None = None
        self.settings: dict[str, Any] = {}


class TestPlanner:
    """Plans the tests of one plan."""

    def __init__(self, plan: Plan, packages: PackagePlanner, locks: Locks, loaded: Loaded, options: Options) -> None:
        self._plan = plan
        self._packages = packages
        self._locks = locks
        self._parts = loaded.packages
        self._tests = tests_of(loaded)
        self._options = options

    def goal(self, target: ResolvedTarget, platform: str) -> Goal | None:
        """The goal that tests a target; None for one that cannot be tested, and for a package that only test targets
        test. Raises LoadError and what planning a package raises.
        """
        if target.provides == "test":
            test = self._of_target(target)
            if test is None:
                return self._untested(target.label, platform, "it has no requests: a health route proves nothing")
        elif target.provides == "package":
            test = self._of_package(self._parts[target.label])
            if test is None:
                if any(other.deps["package"][0] == target.label for other in self._tests):
                    return None
                return self._untested(target.label, platform, _no_request(self._parts[target.label]))
        else:
            return None
        if platform in self._locks.unstartable:
            return self._untested(target.label, platform, self._locks.unstartable[platform])
        return self._tested(target.label, platform, test)

    def _of_target(self, target: ResolvedTarget) -> _Test | None:
        """What a `package_test` target asks for; None where it asks nothing."""
        parts, values = self._parts[target.deps["package"][0]], target.values
        test = _Test(parts, self._plan, self._locks)
        if needs_job(target, parts):
            test.job = test.jobs.of_test(target)
            test.settings = {"environment": values["environment"]}
            return test
        test.requests = [test.asked.request(target, index) for index in range(len(values["requests"] or ()))]
        test.settings = {
            "environment": values["environment"],
            "ready_timeout": float(values["ready_timeout"]),
            "stop_timeout": float(values["stop_timeout"]),
            "exit_codes": list(values["exit_codes"]) if values["clean_stop"] else None,
        }
        return test if test.requests else None

    def _of_package(self, parts: PackageParts) -> _Test | None:
        """What a package brings along to be tested with; None where it brings nothing."""
        test = _Test(parts, self._plan, self._locks)
        if parts.server_part.job is not None:
            test.job = test.jobs.own()
            test.settings = {"environment": {}}
            return test if test.job is not None else None
        test.requests = self._own(parts, test.asked)
        test.settings = {
            "environment": {},
            "ready_timeout": _READY_SECONDS,
            "stop_timeout": _STOP_SECONDS,
            "exit_codes": list(STOPPED),
        }
        return test if test.requests else None

    def _tested(self, label: Label, platform: str, test: _Test) -> Goal:
        parts = test.parts
        seconds = self._options.timeout  # part of the key: what passed in more time did not pass in less
        if seconds is not None and test.job is not None:
            test.job = {**test.job, "timeout": float(seconds)}
        elif seconds is not None:
            test.settings["ready_timeout"] = float(seconds)
        image = self._packages.package(parts.package.label, platform)
        made = image.action
        asked: dict[str, Any] = {"job": test.job}
        if test.job is not None:
            made = test.jobs.image(made, str(label), f"{label}@{platform}" if parts.package.platform else str(label))
        else:
            asked = _asking(parts, test.requests)
        params = PackageTestParams(
            platform=platform,
            network=any(placed.mode != "copy" for placed in parts.placed),
            gpus=self._options.gpus,
            **test.settings,
            **asked,
        )
        action = Action(
            id=f"{label} {platform} test",
            target=str(label),
            kind="package_test",
            title=f"test {label}",
            params=params._asdict(),
            sources=tuple(test.asked.sources),
            deps=(made, *self._plan.actions[made].deps),
            weight=10.0,
            places={
                "runner": self._options.runner,
                "package": str(parts.package.label),
                "name": without_tag(image.info["name"]),
                "variables": _needed(self._plan, image.action),
                "resources": parts.package.values["resources"],
            },
        )
        names = [item["name"] for item in test.requests]
        info = {"package": str(parts.package.label), "requests": names, "job": test.job is not None}
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
                expect |= asked.expected(values["expected_response"])
            requests.append(asked.post("sample_request", scoring, values["sample_request"], expect))
        example = self._example(parts, scoring, asked)
        if example is not None:
            example["body"]["form"] = parts.server.rule.file.mlflow_example
            requests.append(example)
        return requests

    def _example(self, parts: PackageParts, scoring: Mapping[str, Any], asked: Requests) -> dict[str, Any] | None:
        """The request that is the example of the package's MLflow model, wherever that is; None where it has none."""
        if parts.model is None or not takes_mlflow_example(parts):
            return None
        text = self._locks.examples.get(parts.model.label)
        path = mlflow_example(parts)
        if text is None:
            return None
        if path is not None:
            return asked.post(MLFLOW_EXAMPLE, scoring, path, {"status": 200})
        return asked.post_text(MLFLOW_EXAMPLE, scoring, text.decode(errors="replace"), {"status": 200})


def _needed(plan: Plan, image: str) -> list[str]:
    """The variables with credentials that the image's downloads at start look for."""
    names: set[str] = set()
    for dep in plan.actions[image].deps:
        action = plan.actions[dep]
        for download in StartParams(**action.params).downloads if action.kind == "start_layers" else ():
            source = download["source"]
            roles = source.get("credentials", {}).values()
            names.update(name for name in roles if not name.startswith("="))
            names.update(_AMBIENT.get(source["kind"], ()))
    return sorted(names)


def _asking(parts: PackageParts, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """The parameters of a test that sends requests."""
    routes = parts.server_part.routes
    ready = routes.get("readiness") or routes.get("liveness")
    ports = {*parts.ports, *(route["port"] for route in routes.values()), *(item["port"] for item in requests)}
    return {
        "requests": requests,
        "ready": f"{ready['port']}{ready['path']}" if ready else None,
        "port": requests[0]["port"],
        "ports": sorted(ports),
    }


def _no_request(parts: PackageParts) -> str:
    if parts.server_part.job is not None:
        return "no input: add `sample_request:`, a file or folder, to it, or a package_test target with `job:`"
    if "scoring" not in parts.server_part.routes:
        return "its server has no scoring route: write a package_test target with `path:`"
    return "no request: add `sample_request:` to it, or a package_test target"
