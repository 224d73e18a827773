"""Waiting for a started package to be ready."""

import http.client
import time
from collections.abc import Callable

from buildrules.errors import ExitedError, NotReadyError, ServingError
from buildrules.serving.clock import Limit, joined
from buildrules.serving.container import Container
from buildrules.serving.request import Connection
from buildrules.serving.route import Route
from buildrules.serving.runner import Running

READY_SECONDS = 60.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
_ANSWER_SECONDS = 5.0  # a probe that takes longer counts as "not ready", as with an orchestrator
_LOG_LINES = 40
_NO_ROUTE = "answered 404"
_NO_ROUTE_SECONDS = 10.0  # until a server that does nothing and has no such route is believed
_UNREACHED = (
    " (nobody listens there, or only at 127.0.0.1, where nobody outside of the container reaches it: use 0.0.0.0)"
)


def wait_ready(
    container: Running,
    route: Route | None = None,
    *,
    port: int | None = None,
    timeout: float = READY_SECONDS,
    progress: Callable[[float, str], None] | None = None,
) -> float:
    """Wait until GET on the readiness `route` answers 200 to 399, or, without one, until `port` keeps a connection.

    `timeout` are the seconds it may take in which the package can work (see `serving.clock`). One that answers 404 and
    is idle for ten of them will not have the route later: servers have routes before their models, which are loaded.

    `progress` is called after each vain attempt, with the seconds since the beginning and what happened. Returns the
    seconds it took. Raises, with its last log lines, ExitedError when it exits and NotReadyError when the time is over;
    BusyError where this machine lets it do nothing.
    """
    wanted = route.port if route is not None else port
    if wanted is not None and wanted not in container.ports:
        raise ServingError(f"port {wanted} of {container.title!r} is not published", hint="publish it to probe it")
    begin = time.monotonic()
    limit = container.clock.limit(timeout)
    pause = _FIRST_PAUSE
    last = "no connection"
    missing: Limit | None = None  # since it answers nothing but 404
    while True:
        left = max(0.05, min(_ANSWER_SECONDS, limit.left))
        if route is not None:
            status, last = _get(container, route, left)
            if status is not None and 200 <= status < 400:
                return time.monotonic() - begin
        elif port is not None:
            open_, last = _keeps(container, port, left)
            if open_:
                return time.monotonic() - begin
        else:
            return 0.0
        state = container.state()
        if not state.running:
            log = container.log(_LOG_LINES)
            raise ExitedError(
                f"{container.title!r} {state.reason} before it was ready{': ' + state.error if state.error else ''}",
                hint="the end of its log says why" if log else "it wrote nothing to its log",
                log=log,
            )
        missing = (missing or container.clock.limit(_NO_ROUTE_SECONDS)) if last == _NO_ROUTE else None
        if limit.over() or (missing is not None and missing.idle):
            probe = f"GET {route.path} at port {route.port}" if route is not None else f"port {port}"
            raise _not_ready(container, probe, time.monotonic() - begin, limit, last)
        if progress is not None:
            progress(time.monotonic() - begin, last)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _not_ready(container: Running, probe: str, seconds: float, limit: Limit, last: str) -> NotReadyError:
    did = limit.told()
    if last == _NO_ROUTE:
        last += "; it listens, and has no such route: `health` or `routes` of the server's target or rule names it"
        did = ""
    elif isinstance(container, Container) and not last.startswith("answered"):
        last += _UNREACHED  # an engine's proxy takes every connection, whoever listens behind it
    log = container.log(_LOG_LINES)
    more = "; or allow more time" if seconds >= limit.seconds else ""
    return NotReadyError(
        joined(
            f"{container.title!r} was not ready after {min(limit.seconds, round(seconds)):g} s: {probe}: {last}", did
        ),
        hint=f"{'see the end of its log' if log else 'it wrote nothing to its log'}{more}",
        log=log,
    )


def url_of(container: Container, route: Route) -> str:
    """The route's URL as this machine reaches it."""
    host, port = container.address(route.port)
    return f"http://{host}:{port}{route.path}"


def _get(container: Running, route: Route, timeout: float) -> tuple[int | None, str]:
    connection = Connection(container, route.port, timeout)
    try:
        connection.request("GET", route.path, headers={"Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__
    finally:
        connection.close()
    return status, f"answered {status}"


def _keeps(container: Running, port: int, timeout: float) -> tuple[bool, str]:
    """Docker's proxy accepts connections nobody listens for, and closes them at once: so wait a moment."""
    try:
        with container.connect(port, timeout) as connection:
            connection.settimeout(0.2)
            try:
                return connection.recv(1) != b"", "closed at once"
            except TimeoutError:
                return True, ""
    except OSError as error:
        return False, str(error)
