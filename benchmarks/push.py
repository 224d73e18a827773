"""Pushing: requests and bytes after an edit, with everything there, of 100 packages that share layers; speed of 1 GB.

A real docker-registry on this machine; what is asked of it is counted by a relay before it. The peers of the large
layer are `curl` with the same bytes, which does nothing but send them, and `docker push` of the same image, where a
Docker Engine answers (DOCKER_HOST). Each sends to a registry that is new for every run, and they take turns.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.common import DOCKER, run, table, verdict
from benchmarks.model import write_model
from benchmarks.scale import Scene
from benchmarks.workspace import name_of
from tests.oci.registry.servers import registry
from tests.support.relay import Relay, relay, sharing_by_manifest

PACKAGES = 100
EXTRA = 63  # layers more than the seven it has
LABEL = f"//{name_of(0)}"
NAME = "buildrules-benchmark/push"


class Pusher:
    """A workspace whose packages are pushed."""

    def __init__(self, folder: Path, packages: int) -> None:
        self.scene = Scene(folder, packages, 1, 1)
        self.scene.env["DOCKER_CONFIG"] = str(folder / "docker")

    def push(self, *words: str) -> dict[str, object]:
        """Push; what it reports."""
        command = [str(self.scene.script), "push", *words, "--json"]
        return dict(json.loads(run(command, cwd=self.scene.root, env=self.scene.env)))


@contextlib.contextmanager
def counted(folder: Path, name: str) -> Iterator[Relay]:
    """A new registry behind a relay."""
    with registry(folder / name) as host, relay(host) as running:
        yield running
    shutil.rmtree(folder / name)


def edits(pusher: Pusher, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Rows of one package: an edit, and everything there."""
    with counted(folder, "edit") as between:
        to = ("--to", f"{between.host}/team/model")
        pusher.push(LABEL, *to)
        pusher.scene.edit(0)
        between.asked.clear()
        pusher.push(LABEL, *to)
        requests, size = len(between.asked), sum(one.size for one in between.asked)
        yield (
            "after a code edit: requests, bytes",
            f"{requests}, {size:,}",
            f"6, 20 kB: {verdict(requests <= 6 and size <= 20_000)}",
        )
        layers = widen(pusher)
        pusher.push(LABEL, *to)
        between.asked.clear()
        began = time.perf_counter()
        pusher.push(LABEL, *to)
        seconds = time.perf_counter() - began
        yield (
            f"{layers} layers, all there: requests for its manifest, the whole command",
            f"{len(between.asked)}, {seconds:.2f} s",
            f"2, 1 s: {verdict(len(between.asked) <= 2 and seconds <= 1)}",
        )


def widen(pusher: Pusher) -> int:
    """Give the package a layer for each of many files; how many layers it has then."""
    folder = pusher.scene.root / name_of(0)
    (folder / "extra").mkdir()
    for number in range(EXTRA):
        (folder / "extra" / str(number)).write_text(f"{number}\n")
    with (folder / "BUILD.yaml").open("a") as file:
        file.write("    files:\n" + "".join(f"      /extra/{number}: extra/{number}\n" for number in range(EXTRA)))
    pusher.scene.settle(LABEL)
    built = json.loads(run([str(pusher.scene.script), "build", LABEL, "--json"], cwd=folder, env=pusher.scene.env))
    return len(built["targets"][0]["layers"])


def many(pusher: Pusher, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Rows of many packages in as many repositories, with mounts and without."""
    for what, mounts in (("it mounts", True), ("it answers 202 to every mount", False)):
        with counted(folder, "many") as between:
            if not mounts:
                between.interfere = sharing_by_manifest(between)
            began = time.perf_counter()
            found = pusher.push("//...", "--to", between.host)
            seconds = time.perf_counter() - began
            sent = between.sent()
            again = sum(count - 1 for count in sent.values())
            repositories = len({package["repository"] for package in found["packages"]})  # type: ignore[attr-defined]
            yield (
                f"{PACKAGES} packages, {what}: repositories, blobs sent, sent again, requests",
                f"{repositories}, {len(sent)}, {again}, {len(between.asked)} in {seconds:.1f} s",
                f"each once: {verdict(again == 0 and repositories == PACKAGES)}",
            )


def large(pusher: Pusher, folder: Path, runs: int) -> Iterator[tuple[str, str, str]]:
    """Rows of one large layer."""
    write_model(pusher.scene.root / name_of(0) / "model" / "weights.bin")
    pusher.scene.settle(LABEL)
    layer = folder / "layer.tar"
    write_model(layer)
    digest = "sha256:" + run(["sha256sum", str(layer)]).split()[0]
    pushers: dict[str, Callable[[str], object]] = {
        "curl": lambda host: curl(host, layer, digest),
        "buildrules": lambda host: pusher.push(LABEL, "--to", f"{host}/large"),  # its plan is known, as on most days
    }
    if engine():
        pusher.scene.build("load", LABEL, "--tag", NAME)
        pushers["docker"] = docker_push
    times: dict[str, list[float]] = {name: [] for name in pushers}
    place = folder / "large"
    with registry(place) as host:
        pusher.push(LABEL, "--to", f"{host}/large", "--dry-run")
        for _ in range(runs):
            for name, work in pushers.items():
                shutil.rmtree(place / "data", ignore_errors=True)  # it has forgotten everything
                os.sync()
                began = time.perf_counter()
                work(host)
                times[name].append(time.perf_counter() - began)
    found = {name: statistics.median(values) for name, values in times.items()}
    ratio = found["curl"] / found["buildrules"]
    yield (
        "1 GB layer: the whole command, and `curl` with the bytes alone",
        f"{found['buildrules']:.2f} s, {found['curl']:.2f} s: {ratio:.2f} of its speed",
        f"0.9: {verdict(ratio >= 0.9)}",
    )
    if "docker" in found:
        ahead = found["docker"] / found["buildrules"]
        yield (
            "`docker push` of the same image",
            f"{found['docker']:.2f} s: {ahead:.1f} x",
            f"1 x: {verdict(ahead > 1)}",
        )


def curl(host: str, layer: Path, digest: str) -> None:
    """Send the bytes as the specification has it: one POST, one PUT."""
    began = run(["curl", "-fsS", "-D-", "-o", os.devnull, "-X", "POST", f"http://{host}/v2/large/blobs/uploads/"])
    (place,) = (line.partition(": ")[2].strip() for line in began.splitlines() if line.lower().startswith("location:"))
    run(["curl", "-fsS", "-o", os.devnull, "-T", str(layer), f"{place}&digest={digest}"])


def engine() -> bool:
    """Whether a Docker Engine answers."""
    return subprocess.run([DOCKER, "info"], capture_output=True, check=False).returncode == 0


def docker_push(host: str) -> None:
    """Push the loaded image with Docker."""
    run([DOCKER, "tag", NAME, f"{host}/large"])
    try:
        run([DOCKER, "push", f"{host}/large"])
    finally:
        run([DOCKER, "rmi", f"{host}/large"])


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks push")
    parser.add_argument("--runs", type=int, default=3, help="of the large layer")
    runs = parser.parse_args(list(arguments)).runs
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as name:
        folder = Path(name)
        pusher = Pusher(folder, PACKAGES)
        pusher.scene.settle("//...")
        rows += edits(pusher, folder)
        rows += many(pusher, folder)
        try:
            rows += large(pusher, folder, runs)
        finally:
            if engine():
                subprocess.run([DOCKER, "rmi", "--force", f"{NAME}:latest"], capture_output=True, check=False)
    table("Push, registry on this machine", rows)


if __name__ == "__main__":
    main()
