"""How long until an edited scoring script is in the Docker Engine, beside `docker build` of the same image.

Three ways to the same two layers, a model and a script, from the same files, taken in turns in one run:
  buildrules         the edit becomes a layer, config and manifest; the engine gets what it lacks
  docker build, 1    FROM scratch, COPY model, COPY score.py: the order BuildKit can reuse
  docker build, 2    FROM scratch, COPY score.py, COPY model: the order many Dockerfiles have
Every figure is the wall time of a whole process, the median over the runs. BuildKit does the builds.

    python benchmarks/load.py [--size BYTES] [--runs N] [--docker CLI] [--prune]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAME = "buildrules-benchmark/load"
LABEL = "buildrules.benchmark=load"
OURS, MODEL_FIRST, CODE_FIRST = "buildrules", "docker build, 1", "docker build, 2"
DOCKERFILES = {
    MODEL_FIRST: "FROM scratch\nCOPY model.bin /model/model.bin\nCOPY score.py /app/score.py\n",
    CODE_FIRST: "FROM scratch\nCOPY score.py /app/score.py\nCOPY model.bin /model/model.bin\n",
}

# What a build does after an edit, with the model's layer known from before. argv: workspace, store, image name.
CHILD = """
import json, os, sys
from buildrules.oci import recipe
from buildrules.oci.assemble import assemble, stream_layer
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import Layer
from buildrules.oci.docker import connect, load
from buildrules.oci.image import build_image
from buildrules.oci.parts import Sources
from buildrules.store.blobs import Blobs

workspace, store, name = sys.argv[1:]
sources = Sources(workspace, Blobs(store))

def layer(file, folder):
    size = os.stat(os.path.join(workspace, file)).st_size
    part = {"kind": "file", "path": folder + "/" + file, "mode": 0o644, "size": size, "source": {"workspace": file}}
    return assemble(recipe.tar([part]), sources, origin=file)

known = os.path.join(store, "model.json")
if os.path.exists(known):
    with open(known) as file:
        model = Layer.from_dict(json.load(file))
else:
    model = layer("model.bin", "model")
    with open(known, "w") as file:
        json.dump(model.to_dict(), file)
CONFIG = ImageConfig.from_dict({"cmd": ["/app/score.py"], "labels": {"buildrules.benchmark": "load"}})
image = build_image([model, layer("score.py", "app")], CONFIG, "linux/amd64")
report = load(connect(), image, [name], lambda item: stream_layer(item, sources), store=store)
print(json.dumps({"sent": report.sent, "skipped": report.skipped}))
"""


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10**9, help="bytes of the model")
    parser.add_argument("--runs", type=int, default=5, help="edits, each timed three ways")
    parser.add_argument("--docker", help="Docker's command line client; by default the first one that has BuildKit")
    parser.add_argument("--prune", action="store_true", help="empty the engine's whole build cache afterwards")
    arguments = parser.parse_args()
    docker = arguments.docker or find_docker()
    with tempfile.TemporaryDirectory(prefix="buildrules-load-") as folder:
        try:
            first, times, sent = measure(Path(folder), docker, arguments.size, arguments.runs)
        finally:
            names = [f"{NAME}:{tag}" for tag in ("0", "1", "2")]
            subprocess.run([docker, "rmi", "-f", *names], check=False, capture_output=True)
            remove_replaced(docker)
            if arguments.prune:
                subprocess.run([docker, "builder", "prune", "-af"], check=False, capture_output=True)
    report(first, times, sent, arguments)


def measure(
    folder: Path, docker: str, size: int, runs: int
) -> tuple[dict[str, float], dict[str, list[float]], list[int]]:
    """Seconds of the first load and of each edit, by way; bytes that buildrules sent at each edit."""
    workspace, store = folder / "workspace", folder / "store"
    workspace.mkdir()
    store.mkdir()
    with open(workspace / "model.bin", "wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))
    for number, text in enumerate(DOCKERFILES.values(), 1):
        (folder / f"Dockerfile.{number}").write_text(text)
    repository = str(Path(__file__).resolve().parents[1])
    ours = [sys.executable, "-c", CHILD, str(workspace), str(store), f"{NAME}:0"]
    build = [docker, "build", "-q", "--label", LABEL, str(workspace)]
    commands = {
        OURS: ours,
        MODEL_FIRST: [*build, "-f", str(folder / "Dockerfile.1"), "-t", f"{NAME}:1"],
        CODE_FIRST: [*build, "-f", str(folder / "Dockerfile.2"), "-t", f"{NAME}:2"],
    }
    environment = {**os.environ, "DOCKER_BUILDKIT": "1", "PYTHONPATH": repository}
    edit(workspace, 0)
    first = {}
    for way, command in commands.items():
        first[way], _ = timed(command, environment)
    times: dict[str, list[float]] = {way: [] for way in commands}
    sent = []
    for number in range(1, runs + 1):
        edit(workspace, number)
        for way, command in commands.items():
            seconds, output = timed(command, environment)
            times[way].append(seconds)
            if way == OURS:
                sent.append(json.loads(output)["sent"])
    return first, times, sent


def edit(workspace: Path, number: int) -> None:
    """A script of 20 kB that differs each time, also between runs of this program."""
    token = os.urandom(8).hex()
    (workspace / "score.py").write_text(f"# edit {number} {token}\n" + "def run(data):\n    return data\n" * 650)


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Wall seconds of a process and what it printed. What earlier ones left to write to disk is written before."""
    os.sync()
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:3])} failed:\n{done.stderr}")
    return seconds, done.stdout


def find_docker() -> str:
    """The first `docker` on PATH that can build with BuildKit."""
    for folder in os.get_exec_path():
        path = shutil.which("docker", path=folder)
        if path is None:
            continue
        with tempfile.TemporaryDirectory() as empty:
            Path(empty, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
            environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
            if not subprocess.run(
                [path, "build", "-q", "--label", LABEL, empty], env=environment, capture_output=True, check=False
            ).returncode:
                return path
    sys.exit("no docker client with BuildKit on PATH; name one with --docker")


def remove_replaced(docker: str) -> None:
    """Remove the untagged images earlier edits left behind."""
    command = [docker, "images", "-q", "--filter", "dangling=true", "--filter", f"label={LABEL}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if found:
        subprocess.run([docker, "rmi", "-f", *found], check=False, capture_output=True)


def report(
    first: dict[str, float], times: dict[str, list[float]], sent: list[int], arguments: argparse.Namespace
) -> None:
    """Print the table: medians, their range, and how they compare with buildrules."""
    ours = statistics.median(times[OURS])
    print(
        f"model {arguments.size:,} bytes, {arguments.runs} edits, buildrules sent {statistics.median(sent):,.0f} bytes"
    )
    print("| way | first, s | after an edit, s (median) | range | times buildrules |")
    print("|---|---|---|---|---|")
    for way, values in times.items():
        median = statistics.median(values)
        span = f"{min(values):.2f}-{max(values):.2f}"
        print(f"| {way} | {first[way]:.2f} | {median:.2f} | {span} | {median / ours:.1f} |")


if __name__ == "__main__":
    main()
