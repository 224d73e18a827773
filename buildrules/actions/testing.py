"""The kind "package_test": a package is started, tried and stopped.

    params  `platform`, `ports`, `environment`, `network` (whether it needs others than itself), `gpus`, and
            what is tried: of a server `ready` ("<port>/<path>" or None), `port` (what keeps connections
            once it is ready, where `ready` is None), `ready_timeout` and `stop_timeout` (seconds), `exit_codes` (None:
            any) and `requests`: maps of `name`, `method`, `port`, `path`, `headers`, `body` and `expect`. A body is
            {"text"} or {"source": number}, with an `form` where it is an MLflow example; `expect` as in
            `serving.expect`, with `json_source` or `text_source` (numbers) in the place of `json` or `text`. Of a
            package that works on a folder and ends `job`: `exit_code`, `timeout` and `results`, maps of `name`, `path`
            and `expect`.
    sources the files those numbers mean, one each
    deps    the image, then the actions that made its layers, in its order
    places  `package` (label), `runner`, `name` (the image's repository), `variables` (names of those that downloads at
            start take credentials from), `resources` (what the package is given where it is deployed: `cpu`, `memory`)

Outputs: values `requests` (how many passed; 0 of a job), `seconds`, `ready_seconds`, `runner`, `flaky` (what was
wrong at the first of two attempts; "" where one was enough). Which runner was used is not part of the key: a package
that answers in one of them does so in all.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from buildrules.actions.fetching import fetch_parts
from buildrules.actions.made import PackageTestMade
from buildrules.actions.params import PackageTestParams, read
from buildrules.credentials.connections import Connections
from buildrules.engine.action import Outputs, SourceFile
from buildrules.engine.kind import BuildContext, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, BuildrulesError, Interrupted, PackageTestError
from buildrules.oci.descriptor import Layer
from buildrules.oci.image import LayerStream, read_image
from buildrules.oci.supply import Supply
from buildrules.serving.attempt import Attempt, try_out
from buildrules.serving.choose import Runners
from buildrules.serving.compare import MOST_VALUES, too_many
from buildrules.serving.job import Job, Result
from buildrules.serving.mlflow_example import as_request
from buildrules.serving.room import Room
from buildrules.serving.route import Route
from buildrules.serving.runner import Package
from buildrules.serving.trial import Exchange, Trial
from buildrules.start import huggingface, mlflow, s3
from buildrules.start.secret import conceal, hide


class PackageTest:
    """See the module. Raises PackageTestError where the package is not as it should be."""

    name = "package_test"
    version = 4
    traits = Traits(containers=True, opens=True, places=("package", "runner", "name"))

    def run(self, step: Step, context: BuildContext) -> Outputs:
        """Try the package."""
        params, places, deps = read(PackageTestParams, step.params), step.places, step.outputs
        layers = [layer for dep in deps[1:] for layer in dep.layers]
        image = read_image(context.blobs, deps[0].values["digest"], layers)
        files = [_read(context.workspace, group) for group in step.sources]
        title = places["package"]
        package = Package(
            title=title,
            name=places["name"],
            image=image,
            stream=_until_cancelled(Supply(context, step.origin_of(context.workspace), fetch_parts), context),
            platform=params.platform,
            ports=tuple(params.ports),
            environment={
                **_credentials(places.get("variables") or (), context.session.connections),
                **params.environment,
            },
            network=params.network,
            gpus=params.gpus,
        )
        attempt = _attempt(params, files)
        runner = context.session.own(Runners).choose(places.get("runner"), context.blobs.store)
        try:
            outcome = try_out(package, attempt, runner, context, context.session.own(Room))
        except PackageTestError as error:
            shown = [{name: hide(text) for name, text in failure.items()} for failure in error.failures]
            raise PackageTestError(hide(error.message), shown, hint=error.hint) from None
        except BuildrulesError:
            if context.cancelled:
                raise Interrupted("interrupted") from None
            raise
        return Outputs(
            values=PackageTestMade(
                requests=outcome.passed if params.requests is not None else 0,
                seconds=round(outcome.seconds, 3),
                ready_seconds=round(outcome.ready_seconds, 3),
                runner=runner.name,
                flaky=hide(outcome.flaky),
            )._asdict()
        )


_SECRET = (
    s3.DEFAULTS["secret_access_key"],
    s3.DEFAULTS["session_token"],
    mlflow.PASSWORD,
    mlflow.TOKEN,
    huggingface.TOKEN,
)
"""Of the variables that no connection names, those that hold a secret and not a name or an address."""


def _credentials(names: Collection[str], connections: Connections) -> dict[str, str]:
    """The values of variables that downloads at start look for, as far as they are set. Raises CredentialsError."""
    found = connections.environ_for(names)
    found.update({name: os.environ[name] for name in names if name in os.environ and name not in found})
    conceal(value for name, value in found.items() if name in _SECRET)
    return found


def _until_cancelled(stream: LayerStream, context: BuildContext) -> LayerStream:
    """The stream, that breaks off at Ctrl-C: whoever loads or unpacks a large image then ends at once."""

    def chunks(layer: Layer) -> Iterator[bytes]:
        for chunk in stream(layer):
            if context.cancelled:
                raise Interrupted("interrupted")
            yield chunk

    return chunks


_File = tuple[str, bytes]  # workspace path, content


def _read(root: str, group: Sequence[SourceFile]) -> _File:
    (file,) = group
    with open(os.path.join(root, file.path), "rb") as opened:
        return file.path, opened.read()


def _attempt(params: PackageTestParams, files: list[_File]) -> Attempt:
    if params.job is not None:
        job = params.job
        results = [Result(row["name"], row["path"], _expect(row["expect"], files)) for row in job["results"]]
        return Job(results, exit_code=job["exit_code"], timeout=job["timeout"])
    return Trial(
        exchanges=[_exchange(row, files) for row in params.requests or ()],
        ready=Route.parse(params.ready) if params.ready is not None else None,
        port=params.port,
        ready_timeout=params.ready_timeout,
        stop_timeout=params.stop_timeout,
        exit_codes=params.exit_codes,
    )


def _expect(said: Mapping[str, Any], files: list[_File]) -> dict[str, Any]:
    expect = {key: value for key, value in said.items() if key not in ("json_source", "text_source")}
    if "json_source" in said:
        expect["json"] = _json(*files[said["json_source"]])
    if "text_source" in said:
        expect["bytes"] = files[said["text_source"]][1]
    return expect


def _exchange(row: Mapping[str, Any], files: list[_File]) -> Exchange:
    return Exchange(
        name=row["name"],
        method=row["method"],
        route=Route(row["port"], row["path"]),
        headers=row["headers"],
        body=_body(row["body"], files),
        expect=_expect(row["expect"], files),
    )


def _body(body: Mapping[str, Any] | None, files: list[_File]) -> bytes | None:
    if body is None:
        return None
    path, data = ("the model's example", str(body["text"]).encode()) if "text" in body else files[body["source"]]
    if "form" not in body:
        return data
    try:
        return json.dumps(as_request(_json(path, data), body["form"])).encode()
    except ValueError as error:
        raise ActionError(f"'{path}' is not an example of MLflow's: {error}") from error


def _json(path: str, data: bytes) -> Any:
    if too_many(data):
        raise ActionError(f"'{path}' holds more than {MOST_VALUES} values, which are not compared")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ActionError(
            f"'{path}' is not JSON: {error}", hint="name it otherwise if it is to be compared as a text"
        ) from error
