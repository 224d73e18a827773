"""What `buildrules run` does once the package is built: load it, start it, say how to call it, follow it."""

import contextlib
import json
import os
import posixpath
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from buildrules.authoring.paths import is_within
from buildrules.cli.content import one_image
from buildrules.cli.given import variables, what_is_given
from buildrules.cli.invocation import Invocation
from buildrules.cli.load import describe, load_image
from buildrules.errors import Interrupted, UsageError
from buildrules.oci.docker_http import Engine
from buildrules.serving.container import Container
from buildrules.serving.engine import check_platform, engine_here
from buildrules.serving.given import LABEL, Given
from buildrules.serving.probe import url_of, wait_ready
from buildrules.serving.request import curl_line
from buildrules.serving.route import Route
from buildrules.serving.started import WORKSPACE

_GRACE = 10.0
_UNREADY_GRACE = 2.0  # it serves nobody yet, so there is nothing to finish


def before(invocation: Invocation) -> None:
    """Say what is wrong with what is given to the package, before it is built. Raises UsageError."""
    request = invocation.request
    goal = next(one for one in invocation.plan.goals if one.kind == "image")
    info = goal.info
    if not info["routes"] and not info["ports"]:
        raise UsageError(
            f"'{goal.label}' works on files and answers no requests: it has no port",
            hint=f"buildrules load {goal.label}, then docker run --rm {_mounts(info)}{info['name']}",
        )
    places = {one["directory"]: one["label"] for one in (*info["models"], *info["inputs"])}
    for volume in request.option("volume", []):
        place = posixpath.normpath(volume.split(":")[1])
        for directory, label in (places | info["code_directories"]).items():
            if is_within(directory, place):
                sys.stderr.write(f"warning: -v {volume} hides {label}, which lies in {directory}\n")


def after(invocation: Invocation) -> int:
    """Run the package until it exits or Ctrl-C; returns the exit code."""
    request = invocation.request
    environment = variables(request)
    goal = one_image(invocation).goal
    with engine_here() as engine:
        given = what_is_given(request, engine)
        check_platform(engine, goal.label, goal.platform)
        _, report = load_image(invocation, engine)
        invocation.say(describe(report))
        return _start(invocation, engine, report.image_id, environment, given)


def _start(invocation: Invocation, engine: Engine, image: str, environment: Mapping[str, str], given: Given) -> int:
    request = invocation.request
    goal = one_image(invocation).goal
    info = goal.info
    routes = {name: Route.parse(text) for name, text in info["routes"].items()}
    ports = {int(str(port).partition("/")[0]): None for port in info["ports"]}
    ports.update({route.port: None for route in routes.values()})
    main = routes.get("scoring") or routes.get("readiness")
    published: dict[int, int | None] = dict(ports)
    if request.option("port") and (main or ports):
        published[main.port if main else next(iter(ports))] = int(request.option("port"))
    container = Container(
        engine,
        image,
        ports=published,
        environment=environment,
        title=goal.label,
        labels={LABEL: goal.label, WORKSPACE: invocation.root},
        given=given,
    )
    if info["gpu"] and given.gpus is None:
        invocation.say(f"{goal.label} is made for GPUs; --gpus all gives it those of this machine")
    return _serve(invocation, container, routes, info)


def _serve(invocation: Invocation, container: Container, routes: dict[str, Route], info: Mapping[str, object]) -> int:
    request = invocation.request
    label = one_image(invocation).goal.label
    detach = bool(request.option("detach"))
    waiting = True
    try:
        with container, _stopping(container, label):
            container.grace = _UNREADY_GRACE
            seconds = wait_ready(
                container,
                routes.get("readiness") or routes.get("liveness"),
                port=next(iter(container.ports), None),
                timeout=float(request.option("timeout", 60.0)),
                progress=None if request.option("quiet") else _waiting(label),
            )
            waiting = False
            container.grace = _GRACE
            sys.stdout.write(f"{label} is ready after {seconds:.1f} s\n")
            for name, route in routes.items():
                sys.stdout.write(f"  {name:<10} {url_of(container, route)}\n")
            if "scoring" in routes:
                sys.stdout.write(f"\n  {_curl(invocation, container, routes['scoring'], info)}\n\n")
            sys.stdout.flush()
            if detach:
                sys.stdout.write(f"container {container.id}; stop it with: buildrules stop {container.id}\n")
                container.id = None
                return 0
            sys.stdout.write("following its log; Ctrl-C stops it\n")
            sys.stdout.flush()
            for stream, line in container.follow():
                (sys.stderr if stream == "stderr" else sys.stdout).write(line + "\n")
            code = container.wait()
            sys.stderr.write(f"{label} exited with code {code}\n")
            return 1 if code else 0
    except (KeyboardInterrupt, Interrupted):
        sys.stderr.write(f"{label} stopped{' before it was ready' if waiting else ''}\n")
        return Interrupted.exit_code if waiting else 0


@contextlib.contextmanager
def _stopping(container: Container, label: str) -> Iterator[None]:
    """Say that the container is being stopped, which may take its grace period."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        sys.stderr.write(f"\nstopping {label} (up to {container.grace:g} s)\n")
        sys.stderr.flush()
        raise


def _mounts(info: Mapping[str, Any]) -> str:
    job = info["job"]
    return f'-v "$PWD/data:{job["input"]}" -v "$PWD/results:{job["output"]}" ' if job else ""


def _waiting(label: str) -> Callable[[float, str], None]:
    """Called after each vain attempt, says now and then that a package is not ready yet."""
    due = 2.0

    def say(seconds: float, reason: str) -> None:
        nonlocal due
        if seconds >= due:
            due = seconds + 10.0
            sys.stderr.write(f"waiting for {label} to be ready: {seconds:.0f} s so far ({reason})\n")
            sys.stderr.flush()

    return say


def _curl(invocation: Invocation, container: Container, route: Route, info: Mapping[str, object]) -> str:
    url = url_of(container, route)
    sample = info.get("sample_request")
    example = info.get("mlflow_example")
    if sample is None and isinstance(example, str) and os.path.isfile(os.path.join(invocation.root, example)):
        sample = example
    if isinstance(sample, str):
        path = os.path.join(invocation.root, sample)
        return curl_line(url, os.path.relpath(path))
    return curl_line(url, inline=json.dumps({"data": []}))
