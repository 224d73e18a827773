"""A cold build of one example, downloads already cached, beside `docker build` with a pip cache mount.

Both begin with every download at hand: our store holds the wheels and packages and no record; pip's cache mount holds
the wheels, and the base image is there. Needs a Docker Engine (DOCKER_HOST) and the package index for pip.
"""

import shutil
import time
import tomllib
from pathlib import Path

from benchmarks.common import DOCKER, Place, docker_build, medians, of_wheels, place, run, table, verdict

RUNS = 5
LABEL = "//models:regressor"
BASE = "buildrules-benchmark/base"
TAG = "buildrules-benchmark/cold"
DOCKERFILE = f"""\
FROM {BASE}
USER 0
COPY requirements.txt pip.whl ca-certificates.crt /build/
ENV PIP_CERT=/build/ca-certificates.crt HOME=/root
RUN --mount=type=cache,target=/root/.cache/pip \
 ["/usr/bin/python3", "/build/pip.whl/pip", "install", "--quiet", "--target", "/opt/env", "--no-deps", \
 "-r", "/build/requirements.txt"]
COPY model /srv/model
COPY src /srv/code
"""


def requirements(where: Place) -> str:
    """The same versions, from the lock."""
    lock = tomllib.loads(
        (where.workspace / "models" / "pylock.sklearn_env+azureml_online-linux-amd64.toml").read_text()
    )
    return "".join(f"{package['name']}=={package['version']}\n" for package in lock["packages"])


def context(where: Place) -> Path:
    """The build context of the equivalent Dockerfile."""
    folder = where.folder / "context"
    example = where.workspace / "models" / "regressor"
    shutil.copytree(example / "model", folder / "model")
    shutil.copytree(example / "src", folder / "src")
    (folder / "requirements.txt").write_text(requirements(where))
    shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", folder / "ca-certificates.crt")
    run(["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(where.folder / "pip"), "pip"])
    (wheel,) = (where.folder / "pip").glob("pip-*.whl")
    name = "pip.whl"
    shutil.copyfile(wheel, folder / name)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def base_image(where: Place) -> None:
    """The examples' own base, as an image to build upon."""
    build = where.workspace / "benchmark"
    build.mkdir()
    (build / "BUILD.yaml").write_text(
        "targets:\n"
        "  nothing: {rule: custom_server, entrypoint: [/usr/bin/python3], ports: [8000], routes: {}}\n"
        "  base: {rule: model_package, base_env: //bases:python311, server: '//benchmark:nothing'}\n"
    )
    where.buildrules("load", "//benchmark:base", "--tag", BASE)


def measure(where: Place) -> dict[str, float]:
    """Median seconds of each."""
    where.buildrules("build", LABEL)
    base_image(where)
    folder = context(where)
    docker_build(folder, TAG, "--network", "host")

    def before(name: str, _number: int) -> None:
        if name == "docker":
            (folder / "requirements.txt").write_text(f"# {time.time_ns()}\n{requirements(where)}")
        else:
            keep_downloads(where, wheels_known=name == "known")

    return medians(
        {
            "buildrules": lambda: where.buildrules("build", LABEL),
            "known": lambda: where.buildrules("build", LABEL),
            "docker": lambda: docker_build(folder, TAG, "--network", "host"),
        },
        runs=RUNS,
        before=before,
    )


def keep_downloads(where: Place, *, wheels_known: bool) -> None:
    """Leave of the store what was downloaded: wheels and Debian packages, by the locks.

    With `wheels_known` the records of wheels stay: what layer each makes, somebody has found out before.
    """
    wanted = set()
    for lock in [*where.workspace.rglob("pylock.*.toml"), *where.workspace.rglob("*.lock")]:
        text = lock.read_text()
        wanted |= {word.strip("\"',") for word in text.split() if len(word.strip("\"',")) == 64}
    where.forget_state()
    if wheels_known:
        where.forget_records(lambda outputs: not of_wheels(outputs))
    else:
        shutil.rmtree(where.store / "table", ignore_errors=True)
    for path in (where.store / "blobs").rglob("*"):
        if path.is_file() and path.name not in wanted:
            path.unlink()


def main() -> None:
    """Measure and print."""
    with place() as where:
        try:
            found = measure(where)
        finally:
            run([DOCKER, "image", "rm", "--force", TAG, BASE])
    docker = found["docker"]
    rows = []
    for name, what, goal in (
        ("buildrules", f"cold build of {LABEL}, to the image digest", 3),
        ("known", "the same, where the layers of its wheels are on record", 5),
    ):
        ratio = docker / found[name]
        measured = f"{found[name]:.2f} s; `docker build` with a pip cache mount {docker:.2f} s: {ratio:.1f} x"
        rows.append((what, measured, f"{goal} x: {verdict(ratio >= goal)}"))
    table("Cold build, downloads cached", rows)


if __name__ == "__main__":
    main()
