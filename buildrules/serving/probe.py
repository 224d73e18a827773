"""Waiting for a started package to be ready."""

import http.client
import time
from collections.abc import Callable

from buildrules.errors import ExitedError, NotReadyError, ServingError
from buildrules.serving.container import Container
from buildrules.serving.request import Connection
from buildrules.serving.route import Route
from buildrules.serving.runner import Running

READY_SECONDS = 60.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
_ANSWER_SECONDS = 5.0  # a probe that takes longer counts as "not ready", as with an orchestrator
_LOG_LINES = 40


def wait_ready(
    container: Running,
    route: Route | None = None,
    *,
    port: int | None = None,
    timeout: float = READY_SECONDS,
    progress: Callable[[float, str], None] | None = None,
) -> float:
    """Wait until GET on the readiness `route` answers 200 to 399, or, without one, until `port` keeps a connection.

    `progress` is called after each vain attempt, with the seconds since the beginning and what happened. Returns the
    seconds it took. Raises, with its last log lines, ExitedError when it exits and NotReadyError when `timeout` seconds
    have passed.
    """
    wanted = route.port if route is not None else port
    if wanted is not None and wanted not in container.ports:
        raise ServingError(f"port {wanted} of {container.title!r} is not published", hint="publish it to probe it")
    begin = time.monotonic()
    deadline = begin + timeout
    pause = _FIRST_PAUSE
    last = "no connection"
    while True:
        left = max(0.05, min(_ANSWER_SECONDS, deadline - time.monotonic()))
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
            reason = "ran out of memory" if state.out_of_memory else f"exited with code {state.exit_code}"
            raise ExitedError(
                f"{container.title!r} {reason} before it was ready{': ' + state.error if state.error else ''}",
                hint="the end of its log says why",
                log=container.log(_LOG_LINES),
            )
        if time.monotonic() + pause > deadline:
            probe = f"GET {route.path} at port {route.port}" if route is not None else f"port {port}"
            if last == "answered 404":
                last += "; it listens, and has no such route: the server's target or rule names it"
            raise NotReadyError(
                f"{container.title!r} was not ready after {timeout:g} s: {probe}: {last}",
                hint="see its log, or allow more time",
                log=container.log(_LOG_LINES),
            )
        if progress is not None:
            progress(time.monotonic() - begin, last)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


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
