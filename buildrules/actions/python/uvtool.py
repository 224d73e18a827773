"""Runs uv with the user's own configuration, and tells its failures apart.

uv sees uv.toml files, UV_* variables, netrc and keyrings, so it finds packages where the user finds them; what of these
would choose versions is left out (`uv_settings`). It does not see the host's virtual environment; what
is installed here has no say in what goes into an image.
"""

import contextlib
import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildrules.actions.python.feeds import refused
from buildrules.actions.python.target import Target
from buildrules.actions.python.uv_settings import CHOOSING_VARIABLES
from buildrules.credentials.connections import Connections
from buildrules.credentials.redact import scrub_output
from buildrules.errors import ActionError, CredentialsError, FetchError, Interrupted, ResolutionError
from buildrules.start.trust import HINT
from buildrules.state.location import store_root
from buildrules.store.blobs import remove
from buildrules.store.private_folder import private_folder

if TYPE_CHECKING:
    from subprocess import Popen

_HIDDEN = frozenset(("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT"))
_SEEN = frozenset(
    (
        *("PATH", "HOME", "TMPDIR", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    )
)
"""What of the host's environment uv and build back ends see, besides UV_*: what uv itself needs to find packages."""
_KEYRING_SEES = ("ARTIFACTS_", "AWS_", "AZURE_", "CLOUDSDK_", "DBUS_", "GOOGLE_", "KEYRING_", "PYTHON_KEYRING_", "VSS_")
"""How the names of what the programs of keyrings need begin, which uv asks for logins while it locks."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_UNTRUSTED = re.compile(r"invalid peer certificate: (.+)")
_OWN_HINT = re.compile(r"^\s*hint: .*(?:\n\s{2,}.*)*", re.M)  # names options of uv, which nobody can give here
_OPTIONS = (
    (
        r" If all indexes are equally trusted, use `--index-strategy[^\n]*",
        " `packages` of a connection says who has it.",
    ),
    (r"The `--python-version` value", "The Python of the image"),
    (r" Consider using a higher `--python-version` value[^\n]*", ""),
)
"""Options of uv in its hints, and what there is instead of them here."""
_DAMAGE = re.compile(r"\bcache\b|invalid package format|The structure of .* was invalid")
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
    """A Python of this host for `version` ("3.11", "3.13t"), only used to run build back ends; None without one."""
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
    answer = run_uv(("python", "find", "--no-python-downloads", "--no-project", version), "/")
    found = answer.output.strip()
    if answer.code == 0 and found:
        return found
    # What pyenv has and does not offer in this folder, uv does not see.
    versions = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    names = os.listdir(versions) if os.path.isdir(versions) else []
    patches = [name[len(version) + 1 :] for name in names if re.fullmatch(rf"{re.escape(version)}\.\d+", name)]
    path = os.path.join(versions, f"{version}.{max(patches, key=int, default='')}", "bin", f"python{version}")
    return path if os.path.isfile(path) else None


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

    What the host's environment holds by chance reaches no back end, and so neither a lock nor a wheel; with `building`
    uv asks no keyring. Once `cancelled` says so, uv and what it started are ended and Interrupted is raised. Where what
    uv keeps in the store seems to be damaged, which uv does not mend itself, it is run again without that.
    """
    environment = {name: value for name, value in os.environ.items() if _reaches_uv(name, building)}
    environment["LANG"] = "C.UTF-8"
    environment = _kept_in_store() | environment
    environment.update(NO_COLOR="1", UV_NO_PROGRESS="1", UV_PYTHON_DOWNLOADS="never", **(extra or {}))
    answer = _answer(arguments, root, environment, cancelled)
    kept = os.path.join(store_root(), "uv")
    damaged = answer.code != 0 and (kept in answer.errors or _DAMAGE.search(answer.errors))
    if not damaged or environment["UV_CACHE_DIR"] != kept:
        return answer
    with private_folder(os.path.join(store_root(), "tmp")) as folder:
        again = _answer(arguments, root, {**environment, "UV_CACHE_DIR": os.path.join(folder, "uv")}, cancelled)
    if again.code == 0:
        with contextlib.suppress(OSError):  # another process is at it
            remove(kept)
    return again


def _answer(arguments: Sequence[str], root: str, environment: dict[str, str], cancelled: Callable[[], bool]) -> Answer:
    import subprocess

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
    for option, instead in _OPTIONS:
        errors = re.sub(option, instead, errors)
    return Answer(process.returncode, output.decode(errors="replace"), errors)


def _kept_in_store() -> dict[str, str]:
    """Where uv and the back ends it starts keep things, unless the user has named a place: below the store.

    Without a home uv would take the folder it runs in, which is the workspace.
    """
    store = store_root()
    tmp = os.path.join(store, "tmp")
    return {"UV_CACHE_DIR": os.path.join(store, "uv"), **({"TMPDIR": tmp} if os.path.isdir(tmp) else {})} | (
        {} if os.environ.get("HOME") else {"HOME": os.path.join(store, "uv")}
    )


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


def _reaches_uv(name: str, building: bool) -> bool:
    if name.startswith("UV_"):
        return name not in _HIDDEN | CHOOSING_VARIABLES
    upper = name.upper() if name.endswith("_proxy") else name
    return upper in _SEEN or (not building and name.startswith(_KEYRING_SEES))


def compile_arguments(folder: str, requirements: Sequence[str], target: Target, form: str = "pylock.toml") -> list[str]:
    """Arguments of `uv pip compile` for a target, with an answer of that form; `folder` takes the requirements file."""
    arguments = ["pip", "compile", write_lines(folder, "requirements.in", requirements), "--format", form]
    arguments += ["--no-header", "--python-platform", target.uv_platform, "--python-version", target.number]
    interpreter = interpreter_for(target.python_name)
    if target.free_threaded and interpreter is None:
        interpreter = _free_threaded(folder, interpreter_for(target.python_minor) or sys.executable)
    return [*arguments, "--python", interpreter] if interpreter else arguments


def _free_threaded(folder: str, interpreter: str) -> str:
    """A program in `folder` that answers as `interpreter`, and that it has no global lock: which ABI wheels are for, uv
    takes from that answer alone (`sysconfig`, PEP 703), and not from --python-version (astral-sh/uv, issue 21149)."""
    path = os.path.join(folder, "python")
    code = "import sys, sysconfig; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1"
    code += "; exec(sys.argv[sys.argv.index('-c', 1) + 1])"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {shlex.quote(interpreter)} -c {shlex.quote(code)} "$@"\n')
    os.chmod(path, 0o700)
    return path


_NO_NEWS = ("is not available; ", "does not contain any dependencies")


def warnings_in(said: str) -> list[str]:
    """What uv warned of, one text each, but for what is no news: that it builds with another patch release than the
    image's, that nothing was asked for."""
    found: list[str] = []
    goes_on = False
    for line in said.splitlines():
        if line.startswith("warning: "):
            found.append(line.removeprefix("warning: "))
            goes_on = True
        elif goes_on and line.startswith((" ", "\t")):
            found[-1] += " " + line.strip()
        else:
            goes_on = False
    return [text for text in found if not any(part in text for part in _NO_NEWS)]


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
    untrusted = _UNTRUSTED.search(log)
    if untrusted:
        return FetchError(
            f"uv could not {what}: the certificate of a package index is not trusted: {untrusted[1]}",
            hint=HINT + ", or in workspace.tls.certificates",
            log=_OWN_HINT.sub("", log).strip(),
        )
    if "No solution found" not in log and _NETWORK.search(log):
        return FetchError(f"uv could not {what}: a package index did not answer", log=log)
    if "unauthorized" in log.lower() or "forbidden" in log.lower() or "authentication" in log.lower():
        return ResolutionError(
            f"uv could not {what}: a package index wants credentials",
            hint="give them in ~/.netrc, by 'uv auth login', or as UV_INDEX_<NAME>_USERNAME and _PASSWORD",
            log=log,
        )
    hint = "save the file as UTF-8" if "did not contain valid UTF-8" in log else None
    return ResolutionError(f"uv could not {what}", hint=hint, log=log)
