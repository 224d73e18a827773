"""What bytecode in images is worth: imports, the time until a container is ready, and what it costs in size.

The MLflow example of the tests (tests/servers), as it is and without bytecode, in turns; and the model of scikit-learn
beside it behind BentoML, in our image and in BentoML's own, where that can be had. Needs a Docker Engine (DOCKER_HOST)
and the package indexes.
"""

import json
import shutil
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence

from benchmarks import bento
from benchmarks.common import DOCKER, ROOT, Place, place, run, table, verdict

RUNS = 5
MODULES = ("sklearn", "mlflow.pyfunc")
OURS = {"with": (8080, "/ping"), "without": (8080, "/ping"), "bentoml": (3000, "/readyz")}
"""Our packages: port and health route."""
_CPU = "import time; began = time.process_time(); import {module}; print(time.process_time() - began)"


def workspace(where: Place) -> None:
    """The examples, and the twin of one without bytecode."""
    shutil.rmtree(where.workspace)
    shutil.copytree(ROOT / "tests" / "servers" / "workspace", where.workspace)
    build = where.workspace / "BUILD.yaml"
    text = "".join(line for line in build.read_text().splitlines(True) if "bytecode: false" not in line)
    parts = 'rule: model_package, base_env: ":env", model: ":mlflow_model", server: mlflow'
    text += f"  with: {{{parts}}}\n  without: {{{parts}, bytecode: false}}\n"
    build.write_text(text)


def image(name: str) -> str:
    """What an image is called in the engine."""
    return f"servers/{name}" if name in OURS else name


def import_seconds(name: str, module: str) -> float:
    """Processor seconds of one import in a new container."""
    command = [DOCKER, "run", "--rm", "--entrypoint", "/opt/venv/bin/python", image(name), "-c"]
    return float(run([*command, _CPU.format(module=module)]))


def ready_seconds(name: str) -> float:
    """Seconds from `docker run` until the health route answers."""
    port, route = OURS.get(name, OURS["bentoml"])
    began = time.perf_counter()
    container = run([DOCKER, "run", "--detach", "--publish", f"127.0.0.1::{port}", image(name)]).strip()
    try:
        address = run([DOCKER, "port", container, str(port)]).split()[0]
        while time.perf_counter() - began < 120:
            try:
                with urllib.request.urlopen(f"http://{address}{route}", timeout=5) as answer:
                    if answer.status == 200:
                        return time.perf_counter() - began
            except OSError:
                time.sleep(0.02)
        raise TimeoutError(run([DOCKER, "logs", container]))
    finally:
        run([DOCKER, "rm", "--force", container])


def in_turns(names: Sequence[str], work: Callable[[str], float]) -> dict[str, float]:
    """The median of each image."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(RUNS + 1):
        for name in names:
            taken = work(name)
            if number:  # the first reads what the others find in memory
                times[name].append(taken)
    return {name: statistics.median(values) for name, values in times.items()}


def against_itself() -> list[tuple[str, str, str]]:
    """Imports and start, with bytecode and without."""
    pair = ("with", "without")
    found = {
        f"import {module}": in_turns(pair, lambda name, module=module: import_seconds(name, module))  # type: ignore[misc]
        for module in MODULES
    }
    found["until the container is ready"] = in_turns(pair, ready_seconds)
    rows = []
    for what, times in found.items():
        ratio, most = times["with"] / times["without"], 0.6 if "ready" in what else 0.4
        unit = "s" if "ready" in what else "s of a processor"
        shown = f"{times['with']:.2f} {unit}, {ratio:.2f} x the {times['without']:.2f} without"
        rows.append((what, shown, f"{most} x: {verdict(ratio <= most)}"))
    return rows


def against_bentoml(where: Place) -> tuple[str, str, str]:
    """The start of the same service in two images."""
    locks = [where.workspace / f"pylock.{name}-linux-amd64.toml" for name in ("env", "env+bento_server")]
    service, model = where.workspace / "bento" / "service.py", where.workspace / "model" / "iris.joblib"
    what = "BentoML's own image of a model: until it is ready"
    try:
        bento.build(where, service, model, locks)
    except subprocess.CalledProcessError as error:
        return what, f"not made: {error}", ""
    times = in_turns(["bentoml", bento.IMAGE], ready_seconds)
    ratio = times["bentoml"] / times[bento.IMAGE]
    return what, f"{times[bento.IMAGE]:.2f} s; ours {times['bentoml']:.2f} s, {ratio:.2f} x", ""


def main() -> None:
    """Measure and print."""
    with place() as where:
        workspace(where)
        labels = [f"//:{name}" for name in OURS]
        report = json.loads(where.buildrules("build", *labels, "--json"))
        for label in labels:
            where.buildrules("load", label)
        sizes = {target["label"].partition(":")[2]: float(target["size"]) for target in report["targets"]}
        rows = against_itself()
        more = sizes["with"] / sizes["without"] - 1
        rows.append(
            ("size of the image", f"{sizes['with'] / 1e6:.0f} MB, {more:+.1%}", f"+20 %: {verdict(more <= 0.2)}")
        )
        rows.append(against_bentoml(where))
        for name in (*map(image, OURS), bento.IMAGE, bento.BASE, f"{bento.BASE}-0"):
            subprocess.run([DOCKER, "image", "rm", "--force", name], capture_output=True, check=False)
    table("Bytecode in images", rows)


if __name__ == "__main__":
    main()
