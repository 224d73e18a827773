"""Tests of packages that work on a folder and end: what such a package gets, and what it must leave."""

import json
import posixpath
from collections.abc import Mapping
from typing import Any

from buildrules.actions.params import FilesParams, InlineParams
from buildrules.engine.action import Action
from buildrules.engine.plan import Plan
from buildrules.errors import LoadError
from buildrules.locking.locks import Locks
from buildrules.locking.placing import path_source
from buildrules.plan.requests import Requests
from buildrules.rules.mlflow_example import MLFLOW_EXAMPLE
from buildrules.rules.package import PackageParts
from buildrules.rules.requests import at
from buildrules.rules.resolve import ResolvedTarget
from buildrules.serving.mlflow_example import is_table

_SECONDS = 300.0
_MODE = 0o644
_OPEN = 0o777  # whoever the image's user is, it writes there


class Jobs:
    """Makes the job of one test. `golden` keeps the files its expectations need."""

    def __init__(self, plan: Plan, locks: Locks, parts: PackageParts, golden: Requests) -> None:
        self._plan = plan
        self._locks = locks
        self._parts = parts
        self._golden = golden
        self._folders: Mapping[str, str] = parts.server_part.job or {}
        self._input: tuple[str, str] | None = None  # path in the workspace, or text of a file

    def of_test(self, target: ResolvedTarget) -> dict[str, Any]:
        """The job of a `package_test` target, as its action takes it. Raises LoadError."""
        said = target.values["job"]
        node = target.target.attributes["job"] if target.target is not None else None
        self._input = ("path", said["input"])
        rows = said.get("output")
        if not rows:
            results = self._results({})
        else:
            results = [
                self._result(row["name"], {key: value for key, value in row.items() if key != "name"}) for row in rows
            ]
            for index, row in enumerate(rows):
                if posixpath.normpath(row["name"]).startswith(("/", "..")):
                    where = at(node, "output", index, "name")
                    raise LoadError(f"'{row['name']}' is not a path in the output folder", position=where)
        return {"results": results, "exit_code": said["exit_code"], "timeout": float(said["timeout"])}

    def own(self) -> dict[str, Any] | None:
        """The job that a package brings along: its sample request, else its MLflow model's example; None without."""
        values = self._parts.package.values
        expect: dict[str, Any] = {}
        if values["sample_request"] is not None:
            self._input = ("path", values["sample_request"])
            if values["expected_response"] is not None:
                if "result" not in self._folders:
                    raise LoadError(
                        "the server has no file of results to hold against `expected_response`",
                        hint="name the files in a package_test target with `job:`",
                        position=self._parts.package.position_of("expected_response"),
                    )
                expect = self._golden.expected(values["expected_response"])
        elif (example := self._example()) is not None:
            self._input = ("text", example)
        else:
            return None
        return {"results": self._results(expect), "exit_code": 0, "timeout": _SECONDS}

    def image(self, action: str, label: str, name: str) -> str:
        """The image of `action` with two layers more: what the job works on, and an empty folder for its results.

        `name` begins the names of what the test `label` adds.
        """
        assert self._input is not None
        image = self._plan.actions[action]
        kind, what = self._input
        folder = self._folders["input"].strip("/")
        if kind == "text":
            place = f"{folder}/{MLFLOW_EXAMPLE}"
            given = self._inline(label, f"{name} input", {"kind": "inline", "path": place, "mode": _MODE, "text": what})
        else:
            folders = self._locks.folders
            source, prefix = path_source(what, folder, folders, keep=what not in folders)
            given = Action(
                id=f"{name} input {what}",
                target=label,
                kind="files_layer",
                title=f"input {what}",
                params=FilesParams(prefix)._asdict(),
                sources=(source,),
            )
        place = self._folders["output"].strip("/")
        results = self._inline(label, f"{name} output", {"kind": "directory", "path": place, "mode": _OPEN})
        layers = (self._plan.add(given), self._plan.add(results))
        return self._plan.add(
            image._replace(
                id=f"{image.id} for {label}",
                target=label,
                title=f"image of {label}",
                deps=(*image.deps, *layers),
                roles=(*image.roles, "input", "results"),
            )
        )

    def _inline(self, target: str, name: str, part: dict[str, Any]) -> Action:
        title = name.rpartition(" ")[2]
        return Action(
            id=name, target=target, kind="inline_layer", title=title, params=InlineParams([part])._asdict(), weight=0.01
        )

    def _results(self, expect: dict[str, Any]) -> list[dict[str, Any]]:
        """The server's own file of results; none where it has none."""
        return [self._result(self._folders["result"], expect)] if "result" in self._folders else []

    def _result(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        expect = {key: value for key, value in said.items() if key != "file"}
        if "file" in said:
            expect |= self._golden.golden(said["file"])
        return {"name": name, "path": posixpath.join(self._folders["output"], name), "expect": expect}

    def _example(self) -> str | None:
        """The example that MLflow kept with the model, if it is a table: a file of one is read like a request."""
        parts = self._parts
        if parts.model is None or parts.flavour != "mlflow" or not parts.generated_code:
            return None
        data = self._locks.examples.get(parts.model.label)
        try:
            text = (data or b"").decode("utf-8-sig")
            return text if is_table(json.loads(text)) else None
        except (ValueError, RecursionError):
            return None


def needs_job(target: ResolvedTarget, parts: PackageParts) -> bool:
    """Whether a `package_test` target has a job, as its package does. Raises LoadError where only one of them has."""
    has = target.values["job"] is not None
    if has and parts.server_part.job is None:
        raise LoadError(
            f"{parts.package.label} answers requests and does not end",
            hint="test it with `requests:`",
            position=target.position_of("job"),
        )
    if not has and parts.server_part.job is not None and not parts.server_part.routes:
        raise LoadError(
            f"{parts.package.label} works on a folder and ends: it answers no requests",
            hint="test it with `job: {input: FOLDER}`",
            position=target.position_of("requests"),
        )
    return has
