"""Solves conda environments, by py-rattler: for the image's platform and C library, not this machine's."""

import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from buildrules.credentials.redact import scrub_output
from buildrules.errors import (
    ActionError,
    BuildrulesError,
    CredentialsError,
    FetchError,
    LoadError,
    LockError,
    Position,
    ResolutionError,
    UsageError,
)
from buildrules.locking.conda.channels import ANACONDA
from buildrules.locking.conda.lock import CondaLock, CondaPackage
from buildrules.locking.python.collector import Asked
from buildrules.locking.python.conda import distribution_name
from buildrules.net.session import Session
from buildrules.start.address import below, origin_of
from buildrules.start.transfer import PATIENCE
from buildrules.start.trust import HINT
from buildrules.state.location import store_root
from buildrules.store import lockfile
from buildrules.workspace.suggest import did_you_mean

if TYPE_CHECKING:
    from buildrules.credentials.connections import Connection

PYTHON_HINT = "add a Python to its dependencies, such as python=3.12"
_SUBDIRS = {"linux/amd64": ("linux-64", "x86_64"), "linux/arm64": ("linux-aarch64", "aarch64")}
_REFUSED = re.compile(r"status client error \((40[13][^)\n]*)\)")  # as reqwest says it
_KERNEL = "5.10"  # of the machines that images run on, at least
_REPODATA = ("repodata.json", "repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst")
_CUDA_HINT = (  # either is an attribute of its own
    'say what CUDA the driver will have: `gpu: {cuda: "12"}` of the environment, and where a minor version matters,'
    ' its attribute `cuda: "12.4"` as well'
)
_ODD = re.compile(r"_pypy|_cp3\d+t$")
_PYTHON = re.compile(r"(python|python_abi)([ =<>!~].*)?")


@dataclass(frozen=True, slots=True)
class CondaRequest:
    """What is asked for: `channels` are addresses, `cuda` the version of the driver's CUDA, "" for none.

    `places` has the positions of channels, by address; `taken_from` the addresses of channels that specs name, by the
    text of the spec; they are among `channels`.
    """

    name: str
    root: str
    platform: str
    glibc: str
    specs: Sequence[Asked]
    channels: Sequence[str]
    cuda: str = ""
    places: Mapping[str, Position] = field(default_factory=dict)
    taken_from: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """`sha256:<hex>`: a lock with another one is stale. A channel in the workspace counts by its place in there."""
        here = _uri(self.root)
        elsewhere = {
            text: url.removeprefix(here)
            for text, url in self.taken_from.items()
            if url not in text and not url.startswith(ANACONDA)  # where the text says it already
        }
        return lockfile.inputs_digest(
            {
                **({"taken_from": elsewhere} if elsewhere else {}),
                "version": 1,
                "platform": self.platform,
                "glibc": self.glibc,
                "specs": sorted(one.text for one in self.specs),
                "channels": [channel.removeprefix(here) for channel in self.channels],
                "cuda": self.cuda,
            }
        )


def make_lock(
    request: CondaRequest, session: Session, existing: CondaLock | None, upgrade: bool | Collection[str]
) -> CondaLock:
    """Solve `request`, keeping the packages of `existing` where they fit, but for all or some to `upgrade`.

    Raises UsageError without py-rattler, LoadError for what is no spec, ResolutionError with the solver's reason,
    FetchError where a channel cannot be reached, LockError for what cannot be locked.
    """
    from importlib.util import find_spec

    if find_spec("rattler") is None:
        raise UsageError(
            "conda environments are solved by py-rattler, which is not installed",
            hint="pip install 'buildrules[conda]'",
        )
    named = {canonicalize_name(name) for name in upgrade} if not isinstance(upgrade, bool) else set()
    known = existing.packages if existing and upgrade is not True else ()
    kept = [one for one in known if canonicalize_name(one.name) not in named]
    answer = _answer(request, kept, session)
    if "error" in answer:
        raise _error(answer, request, session)
    packages = tuple(sorted((_locked(row, request) for row in answer["records"]), key=lambda one: one.name))
    return CondaLock(request.platform, request.glibc, _python(packages, request), request.digest(), packages)


def _answer(request: CondaRequest, kept: Sequence[CondaPackage], session: Session) -> dict[str, Any]:
    """What the solver answers, see `solver`."""
    import subprocess

    subdir, machine = _SUBDIRS[request.platform]
    virtual = [("__unix", "0", "0"), ("__linux", _KERNEL, "0"), ("__glibc", request.glibc, "0")]
    virtual += [("__archspec", "1", machine), *([("__cuda", request.cuda, "0")] if request.cuda else [])]
    question = {
        "specs": [
            one.taken_from(request.taken_from[one.text]) if one.text in request.taken_from else one.text
            for one in request.specs
        ],
        "channels": list(request.channels),
        "platforms": [subdir, "noarch"],
        "virtual": virtual,
        "kept": [(f"{one.name} =={one.version} {one.build}", one.sha256) for one in kept],
        "logins": [(served.target, headers) for served, headers in _logins(request.channels, session)],
        "cache": os.path.join(store_root(), "conda"),
    }
    environment = {**os.environ, **session.connections.trust(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "buildrules.locking.conda.solver"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        cwd="/",  # whose modules are not the workspace's
        env=environment,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise ActionError(
            f"the solver of conda packages ended with code {done.returncode}", log=scrub_output(done.stderr)
        ) from None
    return found


def _error(answer: dict[str, Any], request: CondaRequest, session: Session) -> BuildrulesError:
    text = scrub_output(str(answer["text"])).strip()
    if answer["error"] == "spec":
        spec = request.specs[answer["number"]]
        return LoadError(f"{spec.text!r} is not a conda package: {text}", position=spec.position)
    if answer["error"] == "unsolved":
        return _unsolved(request, text)
    refused = _REFUSED.search(text)
    for url in request.channels if refused else ():
        served = session.connections.serving(url) if url in text else None
        if refused and served is not None:
            message, way_out = served.refused(refused[1])
            return CredentialsError(message, hint=way_out, log=text)
    return _unreached(request, text, session)


def _unreached(request: CondaRequest, text: str, session: Session) -> BuildrulesError:
    """The error for a channel that does not answer, at the line that names it. Those in folders are told by paths."""
    at = {url: unquote(url.removeprefix("file://")) for url in request.channels}
    url = next((url for url, path in at.items() if f"{url}/" in text or f"`{path}/" in text), None)
    if url is None and len(at) == 1:
        url = next(iter(at))
    position = request.places.get(url) if url is not None else None
    if url is not None and url.startswith("file://"):
        shown = unquote(url.removeprefix(_uri(request.root)).removeprefix("file://"))
        if not os.path.isdir(at[url]):
            message = f"the channel {shown!r} is a folder that does not exist"
            return LoadError(message, hint=_near(at[url], request.root, position), position=position)
        if not any(os.path.isfile(os.path.join(at[url], "noarch", name)) for name in _REPODATA):
            message = f"the folder {shown!r} is not a channel: it has no 'noarch/repodata.json'"
            return LoadError(message, hint="`conda index` or `rattler-index fs` writes it", position=position)
    hint: str | None = None
    if "peer certificate" in text:
        hint = f"{HINT}, or in workspace.tls.certificates"
    elif url is not None and "error sending request" in text:
        name = url.removeprefix(ANACONDA)
        mirror = f"{name if name != url else 'NAME'}: {{type: conda_channel, target: ADDRESS}}"
        hint = PATIENCE if session.connections.serving(url) else f"{PATIENCE}; a mirror is a connection: {mirror}"
    message = f"the channels of {request.name!r} could not be asked for packages"
    return FetchError(message, hint=hint, position=position, log=_short(text))


def _near(path: str, root: str, position: Position | None) -> str:
    """A channel beside `path`, which is not there, that may have been meant; else how paths are read."""
    folder, inside = os.path.split(path)[0], position is not None and path.startswith(f"{root}/")
    start = os.path.join(root, os.path.dirname(position.path)) if position is not None else root

    def shown(one: str) -> str:
        there = os.path.relpath(one, start)
        return (there if there.startswith("../") else f"./{there}") if inside else f"file://{one}"

    beside = os.listdir(folder) if os.path.isdir(folder) else []
    others = [one for name in beside if os.path.isdir(os.path.join(one := os.path.join(folder, name), "noarch"))]
    hint = did_you_mean(shown(path), map(shown, others), what="channels beside it")
    if inside:
        return hint or "a path starts at the folder of the file that names it"
    return hint or "make it with `conda index` or `rattler-index fs`, or write the address of a channel that is there"


def _short(text: str) -> str:
    """What rattler says of a request, without the layers of its libraries between the address and the reason."""
    lines = text.splitlines()
    last = len(lines) - 1
    return "\n".join(
        line for number, line in enumerate(lines) if number in (0, last) or "://" in line or "certificate" in line
    )


def _logins(channels: Sequence[str], session: Session) -> "list[tuple[Connection, dict[str, str]]]":
    """The connections that serve channels, and the headers of their logins. Raises CredentialsError, UsageError."""
    found: list[tuple[Connection, dict[str, str]]] = []
    for url in channels:
        served = session.connections.serving(url)
        login = session.connections.login(url) if url.startswith("http") else None
        if served is not None and login is not None:
            found.append((served, login.headers()))
            _check_neighbours(served, channels)
    return found


def _check_neighbours(served: "Connection", channels: Sequence[str]) -> None:
    """Raise UsageError for a channel that would get the login of another: rattler tells hosts apart, and no ports."""
    target = urlsplit(served.target)
    for url in channels:
        same_host = urlsplit(url).hostname == target.hostname and origin_of(url) != origin_of(served.target)
        if same_host and below(f"{target.scheme}://{target.netloc}{urlsplit(url).path}", served.target) is not None:
            raise UsageError(
                f"the channel {url} would get the credentials of connection {served.name!r},"
                f" which are for {served.target}",
                hint="take both from one port of their host, or give one of them another path",
            )


def _unsolved(request: CondaRequest, text: str) -> ResolutionError:
    """The solver's words, at the line of the package that they name first."""
    words = re.findall(r"[A-Za-z0-9_.-]+", text)
    named = [one for one in request.specs if one.name in words]
    culprit = min(named, key=lambda one: words.index(one.name), default=None)
    return ResolutionError(
        f"the conda packages of {request.name!r} cannot be had together on {request.platform}"
        f" with glibc {request.glibc}",
        hint=_CUDA_HINT if "__cuda" in text else None,
        log=text,
        position=culprit.position if culprit else None,
    )


def _python(packages: Sequence[CondaPackage], request: CondaRequest) -> str:
    """The version of the Python that is there. Raises ResolutionError for none, and for odd ones."""
    python = next((one for one in packages if one.name == "python"), None)
    asked = next((one.position for one in request.specs if one.name == "python"), None)
    if python is None:
        raise ResolutionError(
            f"the conda environment {request.name!r} has no Python",
            hint=PYTHON_HINT,
            position=asked or (request.specs[0].position if request.specs else None),
        )
    if _ODD.search(python.build):
        raise ResolutionError(
            f"the Python of the conda environment {request.name!r} is PyPy or free-threaded:"
            f" {python.version} {python.build}",
            hint="ask for the usual one, such as python=3.12",
            position=asked,
        )
    return python.version


def _locked(row: Mapping[str, Any], request: CondaRequest) -> CondaPackage:
    name, version, url = row["name"], row["version"], row["url"]
    if row["sha256"] is None or row["size"] is None:
        raise LockError(
            f"the channel of {name} {version} says no sha256 of it, so it cannot be locked",
            hint="index the channel anew, or choose another",
        )
    here = _uri(request.root)
    python = row["noarch_python"] or any(_PYTHON.fullmatch(text) for text in row["depends"])
    return CondaPackage(
        name=name,
        version=version,
        build=row["build"],
        url="" if url.startswith(here) else url,
        path=unquote(url.removeprefix(here)) if url.startswith(here) else "",
        sha256=row["sha256"],
        size=row["size"],
        noarch=row["noarch_python"],
        license=row["license"],
        distribution=distribution_name(name, version) if python else "",
    )


def _uri(root: str) -> str:
    from pathlib import Path

    return Path(root).as_uri() + "/"
