"""Runs uv with the user's own configuration, and tells its failures apart.

uv sees uv.toml files, UV_* variables, netrc and keyrings, so it finds packages where the user finds them. It does not
see the host's virtual environment; what is installed here has no say in what goes into an image.
"""

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildrules.actions.python.feeds import refused
from buildrules.actions.python.target import Target
from buildrules.credentials.connections import Connections
from buildrules.credentials.redact import scrub_output
from buildrules.errors import ActionError, CredentialsError, FetchError, Interrupted, ResolutionError

if TYPE_CHECKING:
    from subprocess import Popen

_HIDDEN = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT")
_BUILD_SEES = frozenset(
    (
        *("PATH", "HOME", "TMPDIR", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    )
)
"""What of the host's environment a build back end sees, besides UV_*: what uv itself needs to find packages."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NETWORK = re.compile(
    r"failed to fetch|request failed|error sending request|dns error|connection (refused|reset)|timed out", re.I
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What uv said; `errors` has no credentials in it."""

    code: int
    output: str
    errors: str


@functools.cache
def uv_binary() -> str:
    """The path of uv. Raises ActionError where it is not installed."""
    import shutil

    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise ActionError("uv is not installed", hint="install it beside buildrules: pip install uv")
    return found


def interpreter_for(version: str) -> str | None:
    """A Python of this host for `version` ("3.11"), only used to run build back ends; None where there is none."""
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    return _find(version)


@functools.cache
def builder_for(version: str) -> str:
    """What runs build back ends for `version` ("3.11"), for keys: "CPython 3.11.2"; "" where nothing is known of it."""
    import subprocess

    path = interpreter_for(version)
    if path is None:
        return ""
    command = "import platform; print(platform.python_implementation(), platform.python_version())"
    try:
        done = subprocess.run([path, "-I", "-c", command], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@functools.cache
def _find(version: str) -> str | None:
    answer = _run(("python", "find", "--no-python-downloads", "--no-project", version), os.path.expanduser("~"))
    found = answer.output.strip()
    return found if answer.code == 0 and found else None


def _never() -> bool:
    return False


def run_uv(
    arguments: Sequence[str],
    root: str,
    extra: dict[str, str] | None = None,
    *,
    building: bool = False,
    cancelled: Callable[[], bool] = _never,
) -> Answer:
    """Run uv in the folder `root`, whose uv.toml or pyproject.toml it reads. Raises ActionError if it cannot start.

    With `building`, what the host's environment holds by chance does not reach the back end, and so not its wheel.
    Once `cancelled` says so, uv and what it started are ended and Interrupted is raised.
    """
    return _run(arguments, root, extra, building=building, cancelled=cancelled)


def _run(
    arguments: Sequence[str],
    root: str,
    extra: dict[str, str] | None = None,
    *,
    building: bool = False,
    cancelled: Callable[[], bool] = _never,
) -> Answer:
    import subprocess

    environment = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    if building:
        environment = {name: value for name, value in environment.items() if _reaches_builds(name)}
        environment["LANG"] = "C.UTF-8"
    environment.update(NO_COLOR="1", UV_NO_PROGRESS="1", UV_PYTHON_DOWNLOADS="never", **(extra or {}))
    try:
        process = subprocess.Popen(
            [uv_binary(), *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that it can be ended with the compilers it may have started
        )
    except OSError as error:
        raise ActionError(f"uv cannot be started: {error.strerror or error}") from None
    try:
        output, said = _communicate(process, cancelled)
    except BaseException:
        _end(process)
        raise
    errors = scrub_output(_ANSI.sub("", said.decode(errors="replace"))).strip()
    return Answer(process.returncode, output.decode(errors="replace"), errors)


def _communicate(process: "Popen[bytes]", cancelled: Callable[[], bool]) -> tuple[bytes, bytes]:
    from subprocess import TimeoutExpired

    while True:
        try:
            return process.communicate(timeout=0.2)
        except TimeoutExpired:
            if cancelled():
                raise Interrupted("interrupted") from None


def _end(process: "Popen[bytes]") -> None:
    """End a process and all it started."""
    import contextlib
    import signal
    from subprocess import TimeoutExpired

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutExpired):
            process.wait(0.5)
        os.killpg(process.pid, signal.SIGKILL)  # what did not listen
    process.wait()


def _reaches_builds(name: str) -> bool:
    return name.startswith("UV_") or name in _BUILD_SEES or (name.endswith("_proxy") and name.upper() in _BUILD_SEES)


def compile_arguments(folder: str, requirements: Sequence[str], target: Target) -> list[str]:
    """Arguments of `uv pip compile` for a target; `folder` takes the requirements file."""
    arguments = ["pip", "compile", write_lines(folder, "requirements.in", requirements), "--format", "pylock.toml"]
    arguments += ["--no-header", "--quiet", "--python-platform", target.uv_platform, "--python-version", target.python]
    interpreter = interpreter_for(target.python_minor)
    return [*arguments, "--python", interpreter] if interpreter else arguments


def write_lines(folder: str, name: str, lines: Iterable[str]) -> str:
    """Write a file for uv; returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def failure(answer: Answer, what: str, connections: Connections) -> ResolutionError | FetchError | CredentialsError:
    """The error for a uv that did not do `what` ("resolve the requirements of ...")."""
    log = answer.errors
    denied = refused(log, connections)
    if denied is not None:
        return denied
    if "No solution found" not in log and _NETWORK.search(log):
        return FetchError(f"uv could not {what}: a package index did not answer", log=log)
    if "unauthorized" in log.lower() or "forbidden" in log.lower() or "authentication" in log.lower():
        return ResolutionError(
            f"uv could not {what}: a package index wants credentials",
            hint="give them in ~/.netrc, by 'uv auth login', or as UV_INDEX_<NAME>_USERNAME and _PASSWORD",
            log=log,
        )
    return ResolutionError(f"uv could not {what}", log=log)
