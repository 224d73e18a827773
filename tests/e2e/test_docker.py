"""`load` and `run` with a real Docker Engine."""

import json
import os
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.errors import UsageError
from buildrules.oci.docker_http import Engine
from buildrules.serving.engine import check_platform
from tests.support.dockerlab import static_busybox, tidy
from tests.support.space import APP, Space, make_base

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

HTTPD = """\
rule: httpd
provides: server
summary: Serves the code's files.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/app}
image:
  entrypoint: [/bin/busybox, sh, -c, "SCRIPT"]
  ports: [8080]
routes: {liveness: 8080/app/score.py, readiness: 8080/app/score.py, scoring: 8080/app/score.py}
"""

SERVE = "trap 'exit 0' TERM; /bin/busybox httpd -p 8080 -h /srv; while :; do /bin/busybox sleep 0.1; done"


@pytest.fixture
def named(built: Space, engine: Engine) -> Iterator[Space]:
    """The workspace under a name of its own, so that nothing is left behind in the engine."""
    name = f"buildrules-test-{os.urandom(4).hex()}"
    built.edit("BUILD.yaml", "name: acme", f"name: {name}")
    built.name = name
    with tidy(engine, name):
        yield built


def test_load_sends_only_what_changed(named: Space, engine: Engine) -> None:
    named.write("src/score.py", f"unique = {os.urandom(8).hex()!r}\n")
    named.write("weights/model.txt", os.urandom(8).hex())
    named.run("load", APP).said(f"loaded {named.name}/app:latest: sent ", "layers")
    named.run("load", APP).said("it was there already")
    named.append("src/score.py", "# edited\n")
    named.run("load", APP).said("sent 1 layer, ", "5 layers, ", "were there already")
    named.write("weights/model.txt", os.urandom(8).hex())
    # the engine names a layer by all that lies below it, so the code on top of a new model is sent again
    named.run("load", APP, "--tag", f"{named.name}/other:7").said(f"loaded {named.name}/other:7: sent 2 layers, ").said(
        " (1 of them are there, but on top of other layers)"
    )
    image = engine.call("GET", f"/images/{named.name}/other:7/json")
    assert image["Config"]["Entrypoint"] == ["tinyserver", "--threads=2"]
    assert image["Architecture"] == "amd64"


def test_what_is_loaded_is_what_was_built(named: Space, engine: Engine) -> None:
    report = named.build()
    named.run("load", APP)
    image = engine.call("GET", f"/images/{named.name}/app:latest/json")
    assert image["RootFS"]["Layers"] == [layer["diff_id"] for layer in report.targets[APP]["layers"]]


@pytest.mark.network  # the program for the image is downloaded
def test_run_starts_serves_follows_and_stops(named: Space, engine: Engine, tmp_path: Path) -> None:
    make_base(named.path("busybox"), files={"bin/busybox": static_busybox(tmp_path)}, mode=0o755)
    named.write("rules/httpd.yaml", HTTPD.replace("SCRIPT", SERVE))
    named.edit("BUILD.yaml", "layout: base", "layout: busybox")
    named.edit("BUILD.yaml", "//rules:tiny", "//rules:httpd")
    process = named.start("run", APP)
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "following its log" in line:
            break
    text = "".join(lines)
    assert f"{APP} is ready after" in text
    (url,) = re.findall(r"scoring +(http://\S+)", text)
    with urllib.request.urlopen(url) as answer:
        assert answer.read().decode() == named.path("src/score.py").read_text()
    assert re.search(r"curl .*" + re.escape(url), text)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"{APP} stopped" in err
    assert not [one for one in engine.call("GET", "/containers/json", query={"all": 1}) if named.name in one["Image"]]


@pytest.mark.network
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_can_be_stopped_while_it_waits(
    named: Space, engine: Engine, tmp_path: Path, number: signal.Signals
) -> None:
    make_base(named.path("busybox"), files={"bin/busybox": static_busybox(tmp_path)}, mode=0o755)
    script = SERVE.replace("/bin/busybox httpd -p 8080 -h /srv; ", "")
    named.write("rules/httpd.yaml", HTTPD.replace("SCRIPT", script))
    named.edit("BUILD.yaml", "layout: base", "layout: busybox")
    named.edit("BUILD.yaml", "//rules:tiny", "//rules:httpd")
    process = named.start("run", APP)
    assert process.stderr is not None
    for line in process.stderr:
        if f"waiting for {APP} to be ready" in line:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"stopping {APP}" in err
    assert f"{APP} stopped before it was ready" in err
    assert not [one for one in engine.call("GET", "/containers/json", query={"all": 1}) if named.name in one["Image"]]


def test_run_refuses_another_platform(engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"'//:app' is built for linux/riscv64, .* runs linux"):
        check_platform(engine, "//:app", "linux/riscv64")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[engine.info["Architecture"]]
    check_platform(engine, "//:app", f"linux/{machine}")


def test_run_passes_variables_of_the_shell_on(named: Space) -> None:
    named.run("run", APP, "-e", "SURELY_NOT_SET", code=2).said("variable 'SURELY_NOT_SET' is not set in this shell")
    named.run("run", APP, "-e", "=x", code=2).said("--env '=...': there is no name before the `=`")
    said = named.run("run", APP, "-e", "A B=secret", code=2).said(
        "--env 'A B=...': the name of a variable holds a space"
    )
    assert "secret" not in said.err


@pytest.mark.network
def test_run_says_why_a_package_does_not_start(named: Space, engine: Engine, tmp_path: Path) -> None:
    make_base(named.path("busybox"), files={"bin/busybox": static_busybox(tmp_path)}, mode=0o755)
    broken = HTTPD.replace("SCRIPT", "echo the model is broken; exit 3")
    named.write("rules/httpd.yaml", broken)
    named.edit("BUILD.yaml", "layout: base", "layout: busybox")
    named.edit("BUILD.yaml", "//rules:tiny", "//rules:httpd")
    result = named.process("run", APP, code=1)
    result.said(f"error: '{APP}' exited with code 3", "the model is broken")
    assert "'sha256:" not in result.err
    assert not [one for one in engine.call("GET", "/containers/json", query={"all": 1}) if named.name in one["Image"]]


def test_an_archive_is_what_docker_loads(named: Space, engine: Engine) -> None:
    import subprocess

    report = named.build()
    archive = named.folder / "app.tar"
    named.run("export", APP, "--format", "docker-archive", "-o", str(archive))
    done = subprocess.run(["docker", "load", "-i", str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    image = engine.call("GET", f"/images/{named.name}/app:latest/json")
    assert image["RootFS"]["Layers"] == [layer["diff_id"] for layer in report.targets[APP]["layers"]]


Making = Callable[..., Space]


def test_the_local_docker_can_be_a_base(named: Space, engine: Engine, new_space: Making) -> None:
    named.run("load", APP)
    other = new_space("other")
    other.edit("BUILD.yaml", "layout: base}", f'docker: "{named.name}/app:latest", python: "3.11"}}')
    other.edit("BUILD.yaml", "name: acme", f"name: {named.name}-other")
    report = other.build()
    assert len(report.targets[APP]["layers"]) > 6
    other.run("load", APP)
    labels, below = (
        engine.call("GET", f"/images/{name}/app:latest/json")["Config"]["Labels"]
        for name in (f"{named.name}-other", named.name)
    )
    assert labels["buildrules.locks"] != below["buildrules.locks"]  # its own, and not what it stands on
    assert "//:app" not in json.dumps(labels)
