"""The contract of Azure ML online endpoints, asked of the real azureml-inference-server-http in its image."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import running_engine, tidy
from tests.support.real import Answer, Real, Running

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

PLAIN = """
import json, os, time

def init():
    global model
    root = os.environ["AZUREML_MODEL_DIR"]
    with open(os.path.join(root, "weights", "factor.json")) as file:
        model = json.load(file)
    print("the factor is", model)

def run(raw_data, request_headers):
    if raw_data == "":
        return "empty"
    data = json.loads(raw_data)
    what = data.get("do", "score")
    if what == "fail":
        raise ValueError("no such thing")
    if what == "sleep":
        time.sleep(30)
    if what == "headers":
        return {name.lower(): value for name, value in request_headers.items()}
    return {"none": None, "bytes": b"x", "set": {1}, "nan": float("nan"), "got": data}.get(
        what, [model * value for value in data.get("data", [])]
    )
"""

RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from azureml_inference_server_http.api.aml_response import AMLResponse as SameResponse

def init():
    assert AMLResponse is SameResponse

@rawhttp
def run(request):
    if request.method == "GET":
        return AMLResponse({"query": request.full_path}, 201, json_str=True)
    if request.headers.get("X-Fail"):
        return AMLResponse("bad gateway", 502)
    return AMLResponse(request.get_data(False)[::-1], 200, {"Content-Type": "image/png", "X-Made": "here"})
"""

LEGACY = """
from azureml.contrib.services import rawhttp
import azureml.contrib.services.aml_response as responses

def init():
    pass

@rawhttp
def run(request):
    return responses.AMLResponse(request.method, 200)
"""

SCHEMA = """
import os

from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    assert "AZUREML_MODEL_DIR" not in os.environ  # it has no model

@input_schema("data", StandardPythonParameterType([1.5, 2.5]))
@input_schema("scale", StandardPythonParameterType(2))
@output_schema(StandardPythonParameterType([3.0]))
def run(data, scale=2):
    return [scale * value for value in data]
"""

CONFIGURED = """
import os
from helper import answer

def init():
    pass

def run(raw_data):
    return {"pid": os.getpid(), "answer": answer}
"""

BROKEN = """
def init():
    raise RuntimeError("the weights are torn")

def run(raw_data):
    return raw_data
"""

AGED = """
def init():
    pass

def run(raw_data):
    return {"got": raw_data}
"""

SCRIPTS = {"plain": PLAIN, "raw": RAW, "legacy": LEGACY, "schema": SCHEMA, "configured": CONFIGURED, "broken": BROKEN}
SCRIPTS["aged"] = AGED

TARGETS = """
  weights: {rule: model, path: weights, name: factors, version: "7"}
  plain_server:
    rule: azureml_online
    scoring_timeout_ms: 1500
    service_name: Factors
    service_version: "7.1"
    service_path_prefix: /factors
  aged_env: {rule: python_env, base: "//bases:python311", requirements: [gunicorn==20.1.0]}
  legacy_server: {rule: azureml_online, requirements: [azureml-contrib-services]}
  schema_server: {rule: azureml_online, server_version_header: false}
  configured_server:
    rule: azureml_online
    port: 8081
    separate_health: true
    health_port: 8082
    workers: 2
    preload: true
    cors_origins: "https://one.example, https://two.example"
    config_file: settings/server.json
    source_directory: lib
"""
SERVERS = {"raw": "azureml_online", "broken": "azureml_online", "aged": "azureml_online"}
MODELLESS = ("schema",)


def _targets() -> str:
    text = TARGETS
    for name in SCRIPTS:
        server = SERVERS.get(name, f":{name}_server")
        text += f"""
  {name}_code: {{rule: scoring_code, srcs: ["{name}/**"], entry_script: score.py}}
  {name}:
    rule: model_package
    base_env: "{":aged_env" if name == "aged" else "//bases:python311"}"
    {"" if name in MODELLESS else "model: :weights"}
    code: :{name}_code
    server: "{server}"
    ports: {"[8081, 8082]" if name == "configured" else "[5001]"}
"""
    return text


class Contract:
    """The packages above, built; containers are started when first asked for, and live as long as the module."""

    def __init__(self, space: Real, engine: Engine, stack: contextlib.ExitStack) -> None:
        self.space, self.engine, self._stack = space, engine, stack
        self._running: dict[str, Running] = {}

    def __getitem__(self, name: str) -> Running:
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self.space.start(self.engine, f"//:{name}")).wait()
        return self._running[name]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Iterator[Contract]:
    space = Real(tmp_path_factory.mktemp("azureml"), real_store)
    space.write("weights/factor.json", "3")
    for name, script in SCRIPTS.items():
        space.write(f"{name}/score.py", script)
    space.write("configured/settings/server.json", json.dumps({"SERVICE_NAME": "From a file"}))
    space.write("configured/lib/helper.py", "answer = 42\n")
    space.workspace(_targets())
    engine = running_engine()
    with tidy(engine, space.name), contextlib.ExitStack() as stack:
        space.run("build", "//...")
        yield Contract(space, engine, stack)


@pytest.fixture
def plain(packages: Contract) -> Running:
    return packages["plain"]


def test_it_lives_and_scores(plain: Running) -> None:
    healthy = plain.ask("GET", "/")
    assert (healthy.status, healthy.body) == (200, b"Healthy")
    assert healthy.headers["content-type"].startswith("text/html")
    answer = plain.post("/score", {"data": [1, 2]})
    assert (answer.status, answer.json) == (200, [3, 6])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert answer.headers["x-ms-server-version"].startswith("azmlinfsrv/1.")
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0
    plain.logs("the factor is 3")


def test_methods_and_inputs_of_a_plain_script(plain: Running) -> None:
    got = plain.ask("GET", "/score?do=got&a=1&a=b&c=%5B1,2%5D")
    assert got.json == {"do": "got", "a": [1, "b"], "c": [1, 2]}
    options = plain.ask("OPTIONS", "/score")
    assert (options.status, options.body) == (200, b"")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert plain.ask("POST", "/score", '{"data": [1]}', form).json == "empty"
    assert plain.ask("POST", "/score", '{"data": [1]}', {"Content-Type": "text/plain"}).json == [3]
    headers = plain.post("/score", {"do": "headers"}, **{"X-Team": "blue"}).json
    assert headers["x-team"] == "blue"


def _failed(answer: Answer) -> str:
    return answer.headers.get("x-ms-run-function-failed", "-")


def test_status_codes_of_failures(plain: Running) -> None:
    raised = plain.post("/score", {"do": "fail"})
    message = "An unexpected error occurred in scoring script. Check the logs for more info."
    assert (raised.status, raised.json, _failed(raised)) == (500, {"message": message}, "True")
    assert plain.ask("GET", "/").body == b"Healthy"
    plain.logs("no such thing")
    late = plain.post("/score", {"do": "sleep"})
    assert (late.status, late.json, _failed(late)) == (500, {"message": "Scoring timeout after 1500 ms"}, "True")
    internal = {"message": "An unexpected internal error occurred. Check the logs for more info."}
    for what in ("bytes", "set"):
        odd = plain.post("/score", {"do": what})
        assert (odd.status, odd.json, _failed(odd)) == (500, internal, "False"), what
    undecodable = plain.ask("POST", "/score", b"\xff", {"Content-Type": "application/json"})
    assert undecodable.status == 400
    assert undecodable.json["message"].startswith("Input cannot be decoded as UTF-8")
    for method, path, status in (("GET", "/health", 404), ("DELETE", "/score", 405), ("POST", "/", 405)):
        refused = plain.ask(method, path)
        assert (refused.status, _failed(refused)) == (status, "False"), path
        assert "x-request-id" not in refused.headers
        assert refused.json["message"]
    assert plain.post("/score", {"do": "none"}).json == {}
    assert plain.post("/score", {"do": "nan"}).body == b"NaN"


def test_ids_in_headers(plain: Running) -> None:
    def ids(**sent: str) -> dict[str, str]:
        answer = plain.ask("GET", "/", headers={name.replace("_", "-"): value for name, value in sent.items()})
        names = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid")
        return {name: answer.headers[name] for name in names if name in answer.headers}

    made = ids()
    assert len(made["x-request-id"]) == 36
    assert made == {"x-request-id": made["x-request-id"], "x-ms-request-id": made["x-request-id"]}
    assert ids(x_request_id="r1") == {"x-request-id": "r1", "x-ms-request-id": "r1"}
    client = ids(x_request_id="r1", x_ms_client_request_id="c1")
    assert client == {"x-request-id": "r1", "x-ms-request-id": "c1", "x-ms-client-request-id": "c1"}
    old = ids(x_request_id="r1", x_ms_request_id="m1")
    assert old == {"x-request-id": "r1", "x-ms-request-id": "m1", "x-ms-client-request-id": "m1"}
    assert ids(TraceId="t1")["traceid"] == "t1"
    for header in ("x-request-id", "x-ms-request-id", "x-ms-client-request-id"):
        long = plain.ask("GET", "/", headers={header: "x" * 101})
        assert (long.status, _failed(long)) == (431, "False")
        assert "must not exceed 100 characters" in long.json["message"]


def test_swagger_of_a_plain_script(plain: Running) -> None:
    document = plain.ask("GET", "/swagger.json").json
    assert document["swagger"] == "2.0"
    assert document["info"]["title"] == "Factors"
    assert document["info"]["version"] == "7.1"
    assert "/factors/score" in document["paths"]
    assert plain.ask("GET", "/swagger.json?version=2.0").json == document
    for version, said in (("3", "3.0.3"), ("3.0", "3.0.3"), ("3.1", "3.1.0")):
        assert plain.ask("GET", f"/swagger.json?version={version}").json["openapi"] == said
    unknown = plain.ask("GET", "/swagger.json?version=4")
    assert unknown.status == 404
    assert "Supported versions: [2, 3, 3.1]" in unknown.json["message"]


def test_raw_requests_with_the_old_and_the_new_imports(packages: Contract) -> None:
    raw = packages["raw"]
    answer = raw.ask("POST", "/score", b"\x00\xff", {"Content-Type": "image/png"})
    assert (answer.status, answer.body) == (200, b"\xff\x00")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-made"] == "here"
    got = raw.ask("GET", "/score?a=1")
    assert (got.status, got.json) == (201, {"query": "/score?a=1"})
    failed = raw.ask("POST", "/score", b"", {"X-Fail": "1"})
    assert (failed.status, failed.body, _failed(failed)) == (502, b"bad gateway", "True")


def test_raw_requests_with_the_package_of_old(packages: Contract) -> None:
    legacy = packages["legacy"]
    assert legacy.ask("POST", "/score", b"x").body == b"POST"
    assert legacy.ask("OPTIONS", "/score").body == b"OPTIONS"


def test_a_script_with_a_schema(packages: Contract) -> None:
    schema = packages["schema"]
    scored = schema.post("/score", {"data": [1.0, 2.0], "scale": 3})
    assert (scored.status, scored.json) == (200, [3.0, 6.0])
    assert "x-ms-server-version" not in scored.headers
    assert schema.post("/score", {"data": [1.0]}).json == [2.0]
    assert schema.ask("GET", "/score?data=%5B1.5%5D&scale=4").json == [6.0]
    media = schema.ask("POST", "/score", '{"data": [1]}', {"Content-Type": "text/plain"})
    assert (media.status, media.json["message"]) == (415, "Expects Content-Type to be application/json")
    refused: list[tuple[Any, str]] = [
        ("{", "could not be decoded as JSON"),
        ("", "POST body is empty"),
        ("[1]", "should be a JSON dictionary"),
        ("{}", "A value is not provided for the 'data' parameter."),
    ]
    for body, message in refused:
        bad = schema.ask("POST", "/score", body, {"Content-Type": "application/json"})
        assert bad.status == 400
        assert message in bad.json["message"]
    wanted = schema.ask("GET", "/swagger.json").json["definitions"]["ServiceInput"]
    assert wanted["properties"]["data"]["items"] == {"type": "number", "format": "double"}
    assert wanted["example"]["data"] == [1.5, 2.5]
    three = schema.ask("GET", "/swagger.json?version=3").json["components"]["schemas"]
    assert three["ServiceOutput"]["example"] == [3.0]


def test_ports_workers_origins_and_a_file_of_settings(packages: Contract) -> None:
    configured = packages["configured"]
    assert configured.ask("GET", "/", port=8081).body == b"Healthy"
    assert configured.ask("GET", "/", port=8082).body == b"Healthy"
    assert configured.ask("GET", "/swagger.json").json["info"]["title"] == "From a file"
    answers = [configured.post("/score", {}).json for _ in range(20)]
    assert {answer["answer"] for answer in answers} == {42}
    origin = configured.ask("OPTIONS", "/score", headers={"Origin": "https://two.example"})
    assert origin.headers["access-control-allow-origin"] == "https://two.example"
    assert (
        "access-control-allow-origin" not in configured.ask("GET", "/", headers={"Origin": "https://x.example"}).headers
    )
    configured.logs("Worker Count: 2", "Application Insights Enabled: false")
    log = configured.container.log(300)
    assert log.count("Invoking user's init function") == 1  # preloaded: once, and not once per worker


def test_a_failing_init_ends_the_container(packages: Contract) -> None:
    with packages.space.start(packages.engine, "//:broken") as broken:
        assert broken.container.wait() == 3
        broken.logs("the weights are torn", "Model Directory Contents", "factor.json")


def test_an_old_environment_gets_the_server_that_goes_with_it(packages: Contract) -> None:
    """gunicorn 20, as old versions of mlflow pin it: the server is older, and has the pkg_resources it imports."""
    aged = packages["aged"]
    assert aged.ask("GET", "/").status == 200
    assert aged.post("/score", 5).json == {"got": "5"}
