"""What `buildrules run` does once the package is built: load it, start it, say how to call it, follow it."""

import json
import os
import sys
from collections.abc import Mapping

from buildrules.cli.invocation import Invocation
from buildrules.cli.load import describe, load_image
from buildrules.cli.verbs import one_image
from buildrules.errors import Interrupted, UsageError
from buildrules.serving.container import Container
from buildrules.serving.probe import Route, url_of, wait_ready
from buildrules.serving.request import curl_line


def after(invocation: Invocation) -> int:
    """Run the package until it exits or Ctrl-C; returns the exit code."""
    request = invocation.request
    info = one_image(invocation).goal.info
    engine, report = load_image(invocation)
    sys.stderr.write(describe(report) + "\n")
    routes = {name: Route.parse(text) for name, text in info["routes"].items()}
    ports = {int(str(port).partition("/")[0]): None for port in info["ports"]}
    ports.update({route.port: None for route in routes.values()})
    main = routes.get("scoring") or routes.get("readiness")
    published: dict[int, int | None] = dict(ports)
    if request.option("port") and (main or ports):
        published[main.port if main else next(iter(ports))] = int(request.option("port"))
    container = Container(
        engine,
        report.image_id,
        ports=published,
        environment=_environment(request.option("env", [])),
    )
    return _serve(invocation, container, routes, info)


def _serve(invocation: Invocation, container: Container, routes: dict[str, Route], info: Mapping[str, object]) -> int:
    request = invocation.request
    label = invocation.request.patterns[0]
    detach = bool(request.option("detach"))
    try:
        with container:
            ready = wait_ready(
                container,
                routes.get("readiness") or routes.get("liveness"),
                port=next(iter(container.ports), None),
                timeout=float(request.option("timeout", 60.0)),
            )
            sys.stdout.write(f"{label} is ready after {ready.seconds:.1f} s\n")
            for name, route in routes.items():
                sys.stdout.write(f"  {name:<10} {url_of(container, route)}\n")
            if "scoring" in routes:
                sys.stdout.write(f"\n  {_curl(invocation, container, routes['scoring'], info)}\n\n")
            sys.stdout.flush()
            if detach:
                sys.stdout.write(f"container {container.id}; stop it with: docker rm -f {container.id}\n")
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
        sys.stderr.write(f"\n{label} stopped\n")
        return 0


def _curl(invocation: Invocation, container: Container, route: Route, info: Mapping[str, object]) -> str:
    url = url_of(container, route)
    sample = info.get("sample_request")
    if isinstance(sample, str):
        path = os.path.join(invocation.root, sample)
        return curl_line(url, os.path.relpath(path))
    return curl_line(url, inline=json.dumps({"data": []}))


def _environment(items: list[str]) -> dict[str, str]:
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            value = os.environ.get(name, "")
        if not name:
            raise UsageError(
                f"not a variable: {item!r}", hint="write NAME=VALUE, or NAME to pass this shell's value on"
            )
        pairs[name] = value
    return pairs
