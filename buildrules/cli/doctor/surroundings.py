"""What the workspace asks for: whether it loads, what its targets need, and whether what it names can be reached."""

import importlib.util
import os
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from buildrules.cli.doctor.finding import Finding, broken, failed, good, lacking
from buildrules.credentials.redact import redact, scrub
from buildrules.document.plain_toml import read_toml
from buildrules.errors import BuildrulesError
from buildrules.net.session import Session
from buildrules.workspace.root import BUILD_FILE
from buildrules.workspace.settings import Settings

_SKEW = 60.0  # seconds, beyond which tokens and signatures with a date may be refused
_EXTRAS = {
    **dict.fromkeys(("grpc", "grpcs"), ("grpc", "grpc")),
    **dict.fromkeys(("s3", "gs", "az"), ("s3", "obstore")),
}
"""By the scheme of a cache: the extra to install, and the module it brings."""
_NOBODY = "0" * 64  # a key that no record has


def targets(root: str) -> Iterator[Finding]:
    """Whether the workspace loads, and what its rules need to be installed."""
    from buildrules.analysis.loaded import Loaded
    from buildrules.locking.python.requirements import is_conda
    from buildrules.workspace.disk import Disk

    try:
        loaded = Loaded(Disk(root))
    except BuildrulesError as error:
        for one in getattr(error, "errors", None) or [error]:
            yield failed("workspace", one)
        return
    count = sum(not target.implicit for target in loaded.resolution.targets.values())
    yield good("workspace", f"'{root}', {count} targets in {len(loaded.workspace.packages)} packages")
    if any(map(is_conda, loaded.resolution.targets.values())) and importlib.util.find_spec("rattler") is None:
        yield broken(
            "conda", "conda locks an environment, py-rattler is not installed", "pip install 'buildrules[conda]'"
        )


def neighbours(root: str) -> Iterator[Finding]:
    """Other build systems that take our files for theirs: Pants, whose pants.toml may lie in a folder above."""
    folder = root
    while not os.path.exists(path := os.path.join(folder, "pants.toml")):
        if os.path.exists(os.path.join(folder, ".git")) or folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)
    try:
        with open(path, "rb") as file:
            settings = read_toml(file.read(1 << 20)).get("GLOBAL", {})
        taken = _patterns(settings, "build_patterns", "BUILD", "BUILD.*")
        left_out = [*_patterns(settings, "build_ignore"), *_patterns(settings, "pants_ignore")]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        yield lacking("pants", f"{path!r} cannot be read: {error}", "see that it is as Pants wants it")
        return
    matching = [pattern for pattern in taken if fnmatchcase(BUILD_FILE, pattern)]
    if matching and not any(fnmatchcase(BUILD_FILE, pattern.rpartition("/")[2] or pattern) for pattern in left_out):
        yield broken(
            "pants",
            f"by {path!r} its build files are {', '.join(map(repr, taken))}, so it reads every {BUILD_FILE} as one",
            'in pants.toml, below [GLOBAL]: build_patterns = ["BUILD", "BUILD.pants"]',
        )


def _patterns(settings: dict[str, Any], name: str, *default: str) -> list[str]:
    """An option of Pants that is a list, or adds to its default and takes from it."""
    value = settings.get(name, {})
    if isinstance(value, dict):
        added = [*default, *value.get("add", [])]
        return [pattern for pattern in added if pattern not in value.get("remove", [])]
    return [str(pattern) for pattern in value]


def certificates(session: Session) -> Iterator[Finding]:
    """What traffic trusts."""
    try:
        file, folder = session.connections.certificates()
    except BuildrulesError as error:
        yield failed("certificates", error)
        return
    if not file and not folder:
        yield broken("certificates", "none are installed", "apt install ca-certificates, or set SSL_CERT_FILE")
        return
    import ssl

    try:
        ssl.create_default_context(cafile=file, capath=folder)
    except (OSError, ssl.SSLError) as error:
        yield broken("certificates", f"'{file or folder}': {error}", "name a file of PEM certificates")
    else:
        yield good("certificates", str(file or folder))


def cache(root: str, settings: Settings, session: Session) -> Iterator[Finding]:
    """Whether the shared cache answers, whom it is trusted by, and whether anything could be written."""
    from buildrules.cli.sharing import settings_of
    from buildrules.credentials.secret import Secrets
    from buildrules.remote.backend import RemoteError
    from buildrules.remote.opening import open_backend
    from buildrules.workspace.trust import open_signer, open_trust

    try:
        wanted = settings_of(settings.shared_cache())
    except BuildrulesError as error:
        yield failed("cache", error)
        return
    for url in wanted.get("remote", ()):
        shown = redact(url)
        scheme = urlsplit(url).scheme
        extra, module = _EXTRAS.get(scheme, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            yield broken("cache", f"{scheme}:// needs {module}", f"pip install 'buildrules[{extra}]'")
            continue
        try:
            backend = open_backend(url, session, wanted.get("connection"))
            began = time.perf_counter()
            try:
                backend.records.get(_NOBODY)
            finally:
                backend.close()
            yield good("cache", f"{shown} answers in {(time.perf_counter() - began) * 1000:.0f} ms")
        except BuildrulesError as error:
            yield failed("cache", error)
            continue
        except RemoteError as error:
            remedy = "see its connection in workspace.connections" if error.refused else "builds go on without it"
            yield broken("cache", f"{shown}: {scrub(error.text)}", remedy)
            continue
        if scheme in ("http", "https"):
            yield from _clock(url, session)
    if not wanted:
        return
    try:
        trust = open_trust(wanted, root)
        signer = open_signer(wanted, Secrets(root), root) if wanted["writes"] else None
    except BuildrulesError as error:
        yield failed("trust", error)
        return
    if wanted["writes"] and signer is None and trust.policy == "require":
        yield broken("trust", "signatures are required, and no key signs", "buildrules cache key new NAME")
    writes = "written" if wanted["writes"] else "read only"
    yield good("trust", f"signatures: {trust.policy}; namespace {wanted['namespace']}, {writes}")


def executor(root: str, settings: Settings, session: Session) -> Iterator[Finding]:
    """Whether what steps are handed to answers, and runs any."""
    from buildrules.cli.away import address_of, opened
    from buildrules.engine.events import Stream

    row = settings.executor_row()
    try:
        url = address_of(row, None)
        if url is None:
            return
        engine, _, _ = opened(url, row, settings.shared_cache(), root, session, Stream(lambda _: None))
        began = time.perf_counter()
        try:
            engine.greet()
        finally:
            engine.close()
    except BuildrulesError as error:
        yield failed("executor", error)
    else:
        yield good(
            "executor", f"{engine.name} answers in {(time.perf_counter() - began) * 1000:.0f} ms, and runs steps"
        )


def _clock(url: str, session: Session) -> Iterator[Finding]:
    from buildrules.start.failure import Failure

    parts = urlsplit(url)
    try:
        answer = session.client.get(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/")
        date = answer.headers.get("date")
        answer.close()
    except (Failure, BuildrulesError):
        return
    try:
        skew = parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0
    except ValueError:
        return
    if abs(skew) > _SKEW:
        text = f"{redact(url)} says it is {abs(skew):.0f} s {'later' if skew > 0 else 'earlier'} than this machine does"
        yield lacking("clock", text, "set the clock by NTP: tokens and signatures have dates")


def connections(settings: Settings, session: Session) -> Iterator[Finding]:
    """Whether the secrets can be read that connections name, and the default registry asked."""
    for connection in session.connections:
        try:
            connection.login()
        except BuildrulesError as error:
            yield failed(f"connection {connection.name}", error)
        else:
            yield good(f"connection {connection.name}", redact(connection.target))
    if settings.default_registry:
        yield from _registry(settings.default_registry, session)


def _registry(address: str, session: Session) -> Iterator[Finding]:
    from buildrules.oci.registries import Registries

    host, _, prefix = address.partition("/")
    try:
        session.own(Registries).of(host, f"{prefix}/buildrules-doctor".lstrip("/")).manifest_digest("latest")
    except BuildrulesError as error:
        yield failed("registry", error)
    else:
        yield good("registry", f"{redact(address)} answers")
