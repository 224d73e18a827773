"""One line of score.py edited: to the new image digest, and until the new container can start (`load`).

The peer is `docker build` (BuildKit) of the equivalent Dockerfile on top of the same environment, in its best layer
order (code last) and with the model copied after the code. The model weighs 1 GB; Docker holds everything else.
Needs a Docker Engine (DOCKER_HOST); `second_engine.sh` starts a newer one, with either kind of image store.
"""

import os
import shutil
from pathlib import Path

from benchmarks.common import DOCKER, Place, docker_build, medians, milliseconds, place, run, table, verdict
from benchmarks.model import write_model
from benchmarks.process import BARE

RUNS = 9
LABEL = "//models:iris"
ENVIRONMENT = "buildrules-benchmark/environment"
TAG = "buildrules-benchmark/edit"
ORDERS = {
    "docker build, code last": f"FROM {ENVIRONMENT}\nCOPY model /srv/model\nCOPY src /srv/code\n",
    "docker build, model last": f"FROM {ENVIRONMENT}\nCOPY src /srv/code\nCOPY model /srv/model\n",
}


def contexts(where: Place, folder: Path) -> dict[str, Path]:
    """A build context for each order: the same files, the model linked."""
    found = {}
    for name, dockerfile in ORDERS.items():
        context = folder / name.replace(" ", "-").replace(",", "")
        shutil.copytree(where.workspace / "models" / "iris" / "model", context / "model", copy_function=_link)
        shutil.copytree(where.workspace / "models" / "iris" / "src", context / "src")
        (context / "Dockerfile").write_text(dockerfile)
        found[name] = context
    return found


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def edit(script: Path, number: int) -> None:
    """Append a line, into a new file as editors do."""
    text = script.read_text() + f"# edit {number}\n"
    aside = script.with_suffix(".new")
    aside.write_text(text)
    aside.replace(script)


def measure(where: Place) -> dict[str, float]:
    """Median seconds."""
    where.buildrules("load", LABEL, "--tag", ENVIRONMENT)  # the environment, before there is a large model
    write_model(where.workspace / "models" / "iris" / "model" / "weights.bin")
    where.settle("load", LABEL)
    where.settle("build", LABEL)
    folders = contexts(where, where.folder)
    scripts = {"build": where.workspace / "models" / "iris" / "src" / "score.py"}
    scripts["load"] = scripts["build"]
    for name, context in folders.items():
        scripts[name] = context / "src" / "score.py"
        docker_build(context, TAG)
    counter = iter(range(10_000))
    best, worst = ORDERS

    def before(name: str, _number: int) -> None:
        if name in scripts:
            edit(scripts[name], next(counter))

    os.sync()
    found = medians(
        {
            "bare": lambda: run(BARE),
            "build": lambda: where.buildrules("build", LABEL),
            "load": lambda: where.buildrules("load", LABEL),
            best: _builder(folders[best]),
        },
        runs=RUNS,
        before=before,
    )
    # Alone and last: it copies the model each time, and the disk is busy with that for a while.
    return found | medians({worst: _builder(folders[worst])}, before=before)


def _builder(context: Path):  # type: ignore[no-untyped-def]
    return lambda: docker_build(context, TAG)


def engine() -> tuple[str, float]:
    """What the engine is called, and the goal for `load` as a multiple of `docker build`: a load of Docker before 23
    takes 200 ms by itself."""
    version, driver = run([DOCKER, "info", "--format", "{{.ServerVersion}} {{.Driver}}"]).split()
    return f"Docker {version}, {driver}", 1.5 if int(version.partition(".")[0]) < 23 else 1.0


def main() -> None:
    """Measure and print."""
    name, goal = engine()
    with place() as where:
        try:
            found = measure(where)
        finally:
            run([DOCKER, "image", "prune", "--all", "--force", "--filter", "label=buildrules.image"])
    best, worst = (found[name] for name in ORDERS)
    build, load, bare = found["build"], found["load"], found["bare"]
    table(
        f"Code edit, 1 GB model, {name}",
        [
            (
                "edit to the new image digest",
                f"{milliseconds(build)}; {build / bare:.2f} x bare python ({milliseconds(bare)})",
                f"3.5 x: {verdict(build <= 3.5 * bare)}",
            ),
            ("`docker build`, code last", f"{milliseconds(best)}: {best / build:.1f} x", ""),
            ("`docker build`, model copied after the code", f"{milliseconds(worst)}: {worst / build:.1f} x", ""),
            (
                "edit until the container can start (`load`), whatever the model weighs",
                f"{milliseconds(load)}: {load / best:.2f} x the time of `docker build`, code last",
                f"{goal} x: {verdict(load <= goal * best)}",
            ),
        ],
    )


if __name__ == "__main__":
    main()
