"""Signed releases: `InRelease` fetched, its signature and age checked, the indexes it signs read.

Format: the Debian wiki, "DebianRepository/Format", "Release files". Only the text that gpgv or
sqv says was signed is ever looked at.
"""

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from buildrules.actions.debian import transport
from buildrules.actions.debian.control import read_fields
from buildrules.actions.debian.mirrors import COMPONENT, Source
from buildrules.errors import BuildrulesError, FetchError, GoneError, IntegrityError, ResolutionError
from buildrules.locking.debian import signature
from buildrules.locking.debian.packages import Index
from buildrules.oci.chunks import XZ_MEMORY

if TYPE_CHECKING:
    from buildrules.engine.kind import Context

LARGEST_INDEX = 100 << 20  # bytes; a signed index that claims more is not unpacked
_HASH = re.compile(r"^ ?([0-9a-f]{64})\s+(\d+)\s+(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Release:
    """A release whose signature was good. `files` maps a path below the suite to (sha256 hex, size in bytes)."""

    source: Source
    date: str
    fields: dict[str, str] = field(repr=False)
    files: dict[str, tuple[str, int]] = field(repr=False)

    @property
    def base(self) -> str:
        """The folder that the paths of `files` are relative to."""
        return f"{self.source.uri}/dists/{self.source.suite}"


def open_releases(sources: list[Source], architecture: str, context: "Context") -> list[Release]:
    """One release for each (archive, suite) of `sources`: the first of its places that is good.

    Raises the first place's error where none is; one that is missing and not required is left out.
    """
    places: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        places.setdefault((source.archive, source.suite), []).append(source)
    found: list[Release] = []
    for candidates in places.values():
        failure: BuildrulesError | None = None
        for source in candidates:
            try:
                found.append(open_release(source, architecture, context))
                failure = None
                break
            except GoneError as error:
                failure = failure or (error if source.required else None)
            except (FetchError, IntegrityError, ResolutionError) as error:
                failure = failure or error
        if failure is not None:
            raise failure
    if not found:
        raise ResolutionError("none of the Debian sources serves the suite", hint="check workspace.debian.mirror")
    return found


def open_release(source: Source, architecture: str, context: "Context") -> Release:
    """Fetch and check one InRelease.

    Raises IntegrityError on a bad signature, another suite or an expired release; GoneError or
    FetchError where it cannot be had; ResolutionError where the release is not for this architecture.
    """
    url = f"{source.uri}/dists/{source.suite}/InRelease"
    data = transport.read_release(url, source.by_apt, context)
    where = f"the release of {source.suite!r} ({source.archive} archive)"
    text = signature.verify(data, source.keys, source.signers, where, context.blobs).decode("utf-8", "replace")
    fields = read_fields(text)
    check_release(fields, source, architecture, where)
    files = {path: (digest, int(size)) for digest, size, path in _HASH.findall(fields.get("SHA256", ""))}
    return Release(source, fields.get("Date", ""), fields, files)


def check_release(fields: dict[str, str], source: Source, architecture: str, where: str) -> None:
    """Raise unless the signed fields are about this suite, this architecture and this time."""
    if source.suite not in (fields.get("Suite"), fields.get("Codename")):
        raise IntegrityError(
            f"{where} says it is {fields.get('Codename') or fields.get('Suite')!r}",
            hint="the mirror serves another suite under this name; check workspace.debian.mirror",
        )
    if source.by_apt and fields.get("Origin", "Debian") != "Debian":
        raise ResolutionError(f"{where} is not Debian's but {fields['Origin']!r}'s")
    if architecture not in fields.get("Architectures", architecture).split():
        raise ResolutionError(
            f"{where} has no packages for {architecture!r}, only for {fields['Architectures']}",
            hint="leave the platform out of workspace.platforms, or choose another suite or mirror",
        )
    until = fields.get("Valid-Until")
    if until and source.check_date:
        from email.utils import parsedate_to_datetime

        try:
            end = parsedate_to_datetime(until).timestamp()
        except ValueError:
            raise IntegrityError(f"{where} has an unreadable Valid-Until: {until!r}") from None
        if end < time.time():
            raise IntegrityError(
                f"{where} has expired: it was valid until {until}",
                hint="the mirror is out of date or withholds updates; use another one, or set "
                "workspace.debian.snapshot if a dated archive is meant",
            )


def read_indexes(releases: list[Release], architecture: str, context: "Context") -> list[Index]:
    """The Packages files of all releases. Raises IntegrityError where one is not as signed, ResolutionError
    where a component has none."""
    plans = [(release, *plan) for release in releases for plan in _plan(release, architecture)]
    wanted = []
    for release, path, digest, size in plans:
        folder, _, name = path.rpartition("/")
        urls = [f"{release.base}/{path}"]
        if release.fields.get("Acquire-By-Hash") == "yes":
            urls.insert(0, f"{release.base}/{folder}/by-hash/SHA256/{digest}")
        places = [(url, release.source.by_apt) for url in urls]
        wanted.append(transport.Wanted(places, f"sha256:{digest}", size, f"{release.source.suite} {name}"))
    transport.fetch(wanted, context)
    found = []
    for release, path, digest, _ in plans:
        data = unpack(context.blobs.read(f"sha256:{digest}"), path)
        found.append(Index(data, release.source.archive, f"{release.source.suite} {path}"))
    return found


def _plan(release: Release, architecture: str) -> list[tuple[str, str, int]]:
    """(path, sha256 hex, size) of each index to read: of the architecture, and of `all` where those are apart."""
    architectures = [architecture]
    apart = "all" in release.fields.get("Architectures", "").split()
    if apart and "Packages" not in release.fields.get("No-Support-for-Architecture-all", "").split():
        architectures.append("all")
    plan = []
    for one in architectures:
        for suffix in (".xz", ".gz", ""):
            path = f"{COMPONENT}/binary-{one}/Packages{suffix}"
            if path in release.files:
                plan.append((path, *release.files[path]))
                break
        else:
            if one != "all":
                raise ResolutionError(
                    f"the release of {release.source.suite!r} signs no index of the component {COMPONENT!r} "
                    f"for {architecture!r}"
                )
    return plan


def unpack(data: bytes, path: str) -> bytes:
    """A decompressed index, of 100 MiB at most. Raises IntegrityError where it is not what its name says."""
    import lzma
    import zlib

    try:
        if path.endswith(".xz"):
            unxz = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            result, whole = unxz.decompress(data, LARGEST_INDEX), unxz.eof
        elif path.endswith(".gz"):
            inflate = zlib.decompressobj(31)
            result, whole = inflate.decompress(data, LARGEST_INDEX), inflate.eof
        else:
            return data
    except (lzma.LZMAError, zlib.error) as error:
        raise IntegrityError(f"the signed index {path!r} cannot be unpacked: {error}") from None
    if not whole:
        raise IntegrityError(f"the signed index {path!r} is cut short or larger than 100 MiB")
    return result
