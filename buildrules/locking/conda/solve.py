"""Solves conda environments, by py-rattler: for the image's platform and C library, not this machine's."""

import asyncio
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from buildrules.credentials.redact import scrub_output
from buildrules.errors import (
    BuildrulesError,
    CredentialsError,
    FetchError,
    LoadError,
    LockError,
    ResolutionError,
    UsageError,
)
from buildrules.locking.conda.file import Asked
from buildrules.locking.conda.lock import CondaLock, CondaPackage
from buildrules.locking.python.conda import distribution_name
from buildrules.net.session import Session
from buildrules.start.address import below, origin_of
from buildrules.state.location import store_root
from buildrules.store import lockfile

if TYPE_CHECKING:
    from rattler import RepoDataRecord

    from buildrules.credentials.connections import Connection

_SUBDIRS = {"linux/amd64": ("linux-64", "x86_64"), "linux/arm64": ("linux-aarch64", "aarch64")}
_REFUSED = re.compile(r"40[13]( Unauthorized| Forbidden)?")
_KERNEL = "5.10"  # of the machines that images run on, at least
_ODD = re.compile(r"_pypy|_cp3\d+t$")
_PYTHON = re.compile(r"(python|python_abi)([ =<>!~].*)?")


@dataclass(frozen=True, slots=True)
class CondaRequest:
    """What is asked for: `channels` are addresses, `cuda` the version of the driver's CUDA, "" for none."""

    name: str
    root: str
    platform: str
    glibc: str
    specs: Sequence[Asked]
    channels: Sequence[str]
    cuda: str = ""

    def digest(self) -> str:
        """`sha256:<hex>`: a lock with another one is stale. A channel in the workspace counts by its place in there."""
        here = _uri(self.root)
        return lockfile.inputs_digest(
            {
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
    try:
        import rattler
        from rattler.exceptions import SolverError
    except ImportError:
        raise UsageError(
            "conda environments are solved by py-rattler, which is not installed",
            hint="pip install 'buildrules[conda]'",
        ) from None
    from packaging.utils import canonicalize_name

    specs = []
    for one in request.specs:
        try:
            specs.append(rattler.MatchSpec(one.text, strict=False))
        except Exception as error:  # noqa: BLE001 - of rattler's classes, which have no base of their own
            raise LoadError(f"{one.text!r} is not a conda package: {error}", position=one.position) from None
    named = {canonicalize_name(name) for name in upgrade} if not isinstance(upgrade, bool) else set()
    known = existing.packages if existing and upgrade is not True else ()
    kept = [one for one in known if canonicalize_name(one.name) not in named]
    try:
        records = asyncio.run(_solve(request, specs, kept, session))
    except BuildrulesError:
        raise
    except SolverError as error:
        raise _unsolved(request, str(error)) from None
    except Exception as error:  # noqa: BLE001
        text = scrub_output(str(error))
        refused = _REFUSED.search(text)
        for url in request.channels if refused else ():
            if refused and url in text and (served := session.connections.serving(url)) is not None:
                message, hint = served.refused(refused[0])
                raise CredentialsError(message, hint=hint, log=text) from None
        raise FetchError(f"the channels of {request.name!r} could not be asked for packages", log=text) from None
    packages = tuple(sorted((_locked(one, request) for one in records), key=lambda one: one.name))
    return CondaLock(request.platform, request.glibc, _python(packages, request), request.digest(), packages)


async def _solve(
    request: CondaRequest, specs: Sequence[Any], kept: Sequence[CondaPackage], session: Session
) -> "list[RepoDataRecord]":
    from rattler import BuildString, Gateway, GenericVirtualPackage, PackageName, Version, solve
    from rattler.networking import AddHeadersMiddleware, Client, RetryMiddleware

    logins = _logins(request.channels, session)

    def headers(host: str, path: str) -> dict[str, str] | None:
        for served, found in logins:
            target = urlsplit(served.target)
            here = f"{target.scheme}://{target.netloc}{path}"
            if host == target.hostname and below(here, served.target) is not None:
                return found
        return None

    middlewares: list[Any] = [RetryMiddleware()]
    if logins:
        middlewares.append(AddHeadersMiddleware(headers))
    gateway = Gateway(cache_dir=os.path.join(store_root(), "conda"), client=Client(middlewares))  # type: ignore[arg-type]
    subdir, machine = _SUBDIRS[request.platform]
    platforms: Any = [subdir, "noarch"]
    virtual = {"__unix": ("0", "0"), "__linux": (_KERNEL, "0"), "__glibc": (request.glibc, "0")}
    virtual["__archspec"] = ("1", machine)
    if request.cuda:
        virtual["__cuda"] = (request.cuda, "0")
    known = []
    if kept:
        names = [f"{one.name} =={one.version} {one.build}" for one in kept]
        wanted = {one.sha256 for one in kept}
        answers = await gateway.query(list(request.channels), platforms, names, recursive=False)
        known = [record for answer in answers for record in answer if _hex(record.sha256) in wanted]
    return await solve(
        list(request.channels),
        specs,
        gateway=gateway,
        platforms=platforms,
        locked_packages=known,
        virtual_packages=[
            GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
            for name, (version, build) in virtual.items()
        ],
        channel_relations="disabled",
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
        log=text.strip(),
        position=culprit.position if culprit else None,
    )


def _python(packages: Sequence[CondaPackage], request: CondaRequest) -> str:
    """The version of the Python that is there. Raises ResolutionError for none, and for odd ones."""
    python = next((one for one in packages if one.name == "python"), None)
    asked = next((one.position for one in request.specs if one.name == "python"), None)
    if python is None:
        raise ResolutionError(
            f"the conda environment {request.name!r} has no Python",
            hint="add one to its dependencies, such as python=3.12",
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


def _locked(record: "RepoDataRecord", request: CondaRequest) -> CondaPackage:
    name, version, url = record.name.normalized, str(record.version), str(record.url)
    if record.sha256 is None or record.size is None:
        raise LockError(
            f"the channel of {name} {version} says no sha256 of it, so it cannot be locked",
            hint="index the channel anew, or choose another",
        )
    here = _uri(request.root)
    python = any(_PYTHON.fullmatch(text) for text in record.depends) or record.noarch.python
    return CondaPackage(
        name=name,
        version=version,
        build=str(record.build),
        url="" if url.startswith(here) else url,
        path=unquote(url.removeprefix(here)) if url.startswith(here) else "",
        sha256=_hex(record.sha256),
        size=record.size,
        noarch=bool(record.noarch.python),
        license=record.license or "",
        distribution=distribution_name(name, version) if python else "",
    )


def _hex(sha256: bytes | None) -> str:
    return sha256.hex() if sha256 is not None else ""


def _uri(root: str) -> str:
    from pathlib import Path

    return Path(root).as_uri() + "/"
