"""BentoML's own image of a model: `bentoml build`, and `docker build` of the Dockerfile that it writes.

Its usual base, python:3.11-slim, is replaced by the base of the examples with a shell, uv, and an `apt-get` that does
nothing: what the Dockerfile installs with it (compilers, git) has no part in serving. Wheels and versions are those of
the locks. BentoML itself is fetched from the Python index, into a folder of the user's.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import DOCKER, SCRIPT, Place, run
from benchmarks.peers import TOOLS

BASE = "buildrules-benchmark/bento-base"
IMAGE = "buildrules-benchmark/bento"

_WORKSPACE = """\
workspace: {name: bento, platforms: [linux/amd64], python: {bytecode: false}}
targets:
  base: {rule: debian_base, packages: [bash, coreutils, dash, grep, libgomp1, libstdc++6, mawk, passwd, sed]}
  nothing: {rule: custom_server, entrypoint: [/usr/bin/python3], ports: [8000], routes: {}}
  base_image: {rule: model_package, base_env: ":base", server: ":nothing"}
"""
_DOCKERFILE = f"""\
FROM {BASE}-0
USER 0
COPY uv /usr/local/bin/uv
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt HOME=/root
ENTRYPOINT []
RUN ["/usr/bin/bash", "-c", "ln -s mawk /usr/bin/awk; ln -s true /usr/bin/apt-get; mkdir -p /tmp; chmod 1777 /tmp"]
"""
_BENTOFILE = """\
service: "service:Iris"
include: ["service.py", "iris.joblib"]
python: {{lock_packages: false, packages: {packages}}}
docker: {{base_image: {base}}}
"""


def build(where: Place, service: Path, model: Path, locks: Sequence[Path]) -> None:
    """Make the image `IMAGE` of a service and its model. Raises CalledProcessError."""
    packages = {
        f"{one['name']}=={one['version']}" for lock in locks for one in tomllib.loads(lock.read_text())["packages"]
    }
    (version,) = (one for one in packages if one.startswith("bentoml=="))
    tool = TOOLS / version
    if not tool.exists():
        wanted = ["uv", "pip", "install", "--quiet", "--target", str(tool), *sorted(packages)]  # it imports the service
        subprocess.run([sys.executable, "-m", *wanted], check=True)
    _base(where)
    folder = where.folder / "bento"
    folder.mkdir()
    text = service.read_text().replace('os.environ["MODEL_PATH"]', 'os.path.dirname(__file__) + "/iris.joblib"')
    (folder / "service.py").write_text(text)
    shutil.copy(model, folder / "iris.joblib")
    (folder / "bentofile.yaml").write_text(_BENTOFILE.format(packages=sorted(packages), base=BASE))
    environment = {
        **os.environ,
        "BENTOML_HOME": str(where.folder / "bentos"),
        "BENTOML_DO_NOT_TRACK": "1",
        "PYTHONPATH": str(tool),
    }
    run([sys.executable, "-m", "bentoml", "build", "."], cwd=folder, env=environment)
    (made,) = (where.folder / "bentos" / "bentos" / "iris").glob("*/env/docker/Dockerfile")
    _docker_build(made.parents[2], IMAGE, "--file", str(made))


def _base(where: Place) -> None:
    folder = where.folder / "bento-base"
    context = folder / "context"
    context.mkdir(parents=True)
    (folder / "BUILD.yaml").write_text(_WORKSPACE)
    run([str(SCRIPT), "load", "//:base_image", "--tag", f"{BASE}-0"], cwd=folder, env=where.environment())
    from uv import find_uv_bin

    shutil.copy(find_uv_bin(), context / "uv")
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    _docker_build(context, BASE)


def _docker_build(context: Path, tag: str, *options: str) -> None:
    """Without BuildKit, which not every engine has."""
    command = [DOCKER, "build", "--quiet", "--network", "host", "--tag", tag, *options, str(context)]
    run(command, env={**os.environ, "DOCKER_BUILDKIT": "0"})
