"""A real MLflow tracking server with users and passwords, and models that MLflow's own client has logged there.

Artifacts of most experiments go through the server; those of the experiment "bucket" lie in a bucket of the S3 store.
"""

import contextlib
import hashlib
import json
import os
import secrets
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from buildrules.start.http import basic
from tests.support.service import Service, free_ports, run_folder, shared
from tests.support.swift import Swift
from tests.support.venvs import environment

USER, PASSWORD = "admin", "password-of-tests"
BUCKET = "mlflow-artifacts"

AUTH = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.sqlite
admin_username = {user}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""

LOG = """\
import json, sys
from pathlib import Path
import mlflow
bucket = mlflow.create_experiment("bucket", artifact_location=sys.argv[1])
made = {}
for name, experiment, number in (("iris", "0", 1), ("iris", "0", 2), ("stored", bucket, 1)):
    Path("data/deep").mkdir(parents=True, exist_ok=True)
    Path("data/deep/a b+c.txt").write_text(f"weights {name} {number}\\n" * 1000)
    with mlflow.start_run(experiment_id=experiment) as run:
        info = mlflow.pyfunc.log_model(
            name="model", loader_module="json", data_path="data", pip_requirements=["numpy"], registered_model_name=name
        )
        mlflow.log_text("hello " + name, "notes/a b.txt")
        mlflow.log_text("top", "top.txt")
    made[f"{name}/{number}"] = {"run": run.info.run_id, "model": info.model_id}
print(json.dumps(made))
"""


@dataclass
class Tracking:
    """A running server; `made` are the runs and logged models of the versions "iris/1", "iris/2" and "stored/1"."""

    uri: str
    made: dict[str, dict[str, str]]

    @property
    def environment(self) -> dict[str, str]:
        """What a client's process needs to know."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }

    def call(self, path: str, data: dict[str, Any] | bytes | None = None, method: str | None = None) -> dict[str, Any]:
        """A request of the REST API, POST where there is data."""
        body = json.dumps(data).encode() if isinstance(data, dict) else data
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/{path}",
            body,
            {"Authorization": basic(USER, PASSWORD), "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
            return found

    def run(self, files: dict[str, bytes], location: str | None = None) -> str:
        """A run with these artifacts, or one whose experiment keeps them at `location`; its id."""
        experiment = "0"
        if location:
            data = {"name": f"e{secrets.token_hex(6)}", "artifact_location": location}
            experiment = self.call("mlflow/experiments/create", data)["experiment_id"]
        info = self.call("mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]
        for path, content in files.items():
            place = f"{info['artifact_uri'].removeprefix('mlflow-artifacts:/')}/{path}"
            self.call(f"mlflow-artifacts/artifacts/{quote(place)}", content, "PUT")
        return str(info["run_id"])

    def register(self, version: str, name: str | None = None) -> str:
        """What is made for a version ("iris/1") as a version of another model, new without a name; the model's name."""
        made = self.made[version]
        if name is None:
            name = f"model-{secrets.token_hex(6)}"
            self.call("mlflow/registered-models/create", {"name": name})
        logged = {"source": f"models:/{made['model']}", "model_id": made["model"], "run_id": made["run"]}
        self.call("mlflow/model-versions/create", {"name": name, **logged})
        return name

    def alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias of a model name this version from now on."""
        self.call("mlflow/registered-models/alias", {"name": name, "alias": alias, "version": str(version)})

    def artifacts(self, run: str) -> str:
        """Where a run's artifacts are."""
        return str(self.call(f"mlflow/runs/get?{urlencode({'run_id': run})}")["run"]["info"]["artifact_uri"])


def _cheap_hash(password: str) -> str:
    """A password as Werkzeug keeps it, with one round only."""
    return f"pbkdf2:sha256:1$salt${hashlib.pbkdf2_hmac('sha256', password.encode(), b'salt', 1).hex()}"


@contextlib.contextmanager
def mlflow_server(factory: pytest.TempPathFactory, swift: Swift) -> Iterator[Tracking]:
    """The server of this test run."""
    with shared(run_folder(factory) / "mlflow", lambda folder: _prepare(folder, swift)) as facts:
        yield Tracking(facts["uri"], facts["made"])


def _prepare(folder: Path, swift: Swift) -> Service:
    tools = environment("mlflow", "mlflow[auth]>=3.5", "boto3")
    (port,) = free_ports(1)
    server = Tracking(f"http://127.0.0.1:{port}", {})
    (folder / "auth.ini").write_text(AUTH.format(folder=folder, user=USER, password=PASSWORD))
    swift.bucket(BUCKET)
    surroundings = {
        **swift.environment,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": swift.endpoint,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of tests",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{tools}:{os.environ['PATH']}",
    }
    command = [str(tools / "python"), str(tools / "mlflow"), "server", "--app-name", "basic-auth"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/store.sqlite", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{server.uri}/health", timeout=60):
                return True
        except OSError:
            return False

    def fill() -> dict[str, Any]:
        with contextlib.closing(sqlite3.connect(folder / "auth.sqlite")) as store:
            # Each request checks the password several times, which takes 0.1 s of scrypt each time.
            password = (_cheap_hash(PASSWORD), USER)
            store.execute("UPDATE users SET password_hash = ? WHERE username = ?", password)
            store.commit()
        done = subprocess.run(
            [str(tools / "python"), "-c", LOG, f"s3://{BUCKET}/logged"],
            cwd=folder,
            env={**os.environ, **surroundings, **server.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stdout + done.stderr
        return {"made": json.loads(done.stdout.strip().splitlines()[-1])}

    return Service([command], ready, {"uri": server.uri}, surroundings, fill)
