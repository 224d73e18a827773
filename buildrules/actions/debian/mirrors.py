"""Where Debian's archives are: the machine's own apt configuration, or mirrors named in the settings.

A source says which suite of which archive ("main" or "security") is served at which base URIs. Locks
hold pool paths and archives only, so any mirror serves them. Format: sources.list(5), both styles.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildrules.actions.debian.control import read_fields
from buildrules.errors import UsageError

ARCHIVES = ("main", "security")
ROLLING = ("sid", "unstable", "experimental", "rc-buggy")  # suites without updates and security
ALIASES = ("stable", "oldstable", "testing")

_KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
_TIME = re.compile(r"\d{8}T\d{6}Z")
_OPTION = re.compile(r"\[(?P<options>[^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Source:
    """One suite at one base URI (no trailing slash).

    `keys` are keyring files, armoured or not, or armoured key text; `signers` are fingerprints that a signature must be
    made by, () for any key of `keys`. `required` says that a missing InRelease is an error. `by_apt` says that
    the URI comes from apt's configuration and is to be fetched with apt's own settings.
    """

    archive: str
    suite: str
    uri: str
    components: tuple[str, ...]
    keys: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    check_date: bool = True
    required: bool = True
    by_apt: bool = False


@dataclass(frozen=True, slots=True)
class AptEntry:
    """One `deb` line or deb822 stanza of the machine's configuration."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


def family(suite: str) -> dict[str, str]:
    """The suites that make up one release, with the archive that serves each."""
    if suite in ROLLING:
        return {suite: "main"}
    return {suite: "main", f"{suite}-updates": "main", f"{suite}-security": "security"}


def find_sources(
    suite: str, settings: Mapping[str, Any], components: tuple[str, ...] = ("main",), workspace: str = ""
) -> list[Source]:
    """The sources of a release, in the order they are to be tried for each (archive, suite).

    `settings` may hold `mirror`, `security_mirror`, `keyring` and `snapshot` (None or absent means the machine's own);
    a relative keyring is relative to `workspace`. Raises UsageError where nothing is configured.
    """
    keyring = settings.get("keyring")
    explicit = (os.path.join(workspace, os.path.expanduser(keyring)),) if keyring else ()
    mirrors = mirror_uris(settings)
    if not mirrors:
        return _from_machine(suite, components, explicit)
    keys = explicit or default_keys()
    dated = bool(settings.get("snapshot"))
    return [
        Source(archive, one, uri, components, keys, (), not dated, one == suite or archive == "security")
        for one, archive in family(suite).items()
        if (uri := mirrors.get(archive))
    ]


def mirror_uris(settings: Mapping[str, Any]) -> dict[str, str]:
    """Base URI of each archive as the settings name them; {} where they leave it to the machine.

    `snapshot` is the address of a dated archive, in which `{archive}` stands for `debian` or `debian-security`, or a
    time like 20250131T000000Z below `mirror` and `security_mirror`. Where the settings say nothing of the
    security archive of a snapshot, it is found by replacing a path segment `debian`. Raises UsageError where something
    is missing.
    """
    mirror, security = (str(settings.get(name) or "").rstrip("/") for name in ("mirror", "security_mirror"))
    snapshot = str(settings.get("snapshot") or "").rstrip("/")
    if "{archive}" in snapshot:
        names = (("main", "debian"), ("security", "debian-security"))
        return {archive: snapshot.replace("{archive}", name) for archive, name in names}
    if not snapshot and not mirror:
        _refuse(bool(security), "security_mirror")
        return {}
    main = snapshot or mirror
    if snapshot:
        if _TIME.fullmatch(snapshot):
            _refuse(not mirror, "snapshot")
            main = f"{mirror}/{snapshot}"
            security = security and f"{security}/{snapshot}"
        security = security or re.sub(r"/debian(?=/|$)", "/debian-security", main)
    return {"main": main} | ({"security": security} if security and security != main else {})


def _refuse(wrong: bool, name: str) -> None:
    if wrong:
        raise UsageError(
            f"workspace.debian.{name} is set without a mirror it belongs to",
            hint="set workspace.debian.mirror to the address that holds dists/ and pool/, or the snapshots of it",
        )


def base_uris(suite: str, settings: Mapping[str, Any]) -> dict[str, list[tuple[str, bool]]]:
    """Where `.deb` files may be fetched: for each archive (base URI, by apt) in the order to be tried.

    The mirror or the machine's configuration first, the snapshot last. Raises UsageError where there is neither.
    """
    found: dict[str, list[tuple[str, bool]]] = {archive: [] for archive in ARCHIVES}
    snapshot = settings.get("snapshot")
    if not (snapshot and _TIME.fullmatch(str(snapshot))):
        try:
            configured = find_sources(suite, {**settings, "snapshot": None})
        except UsageError:
            if not snapshot:
                raise
            configured = []
        for source in configured:
            if (source.uri, source.by_apt) not in found[source.archive]:
                found[source.archive].append((source.uri, source.by_apt))
    if snapshot:
        for archive, uri in mirror_uris(settings).items():
            found[archive].append((uri, False))
    return found


def default_keys() -> tuple[str, ...]:
    """The machine's own Debian archive keys: the keyring package's file, else what apt trusts for every source."""
    for name in _KEYRINGS:
        path = os.path.join("/usr/share/keyrings", name)
        if os.path.exists(path):
            return (path,)
    folder = apt_setting("Dir::Etc::trustedparts/d", "/etc/apt/trusted.gpg.d/")
    return tuple(_listed(folder, "debian", (".gpg", ".asc")))


def _from_machine(suite: str, components: tuple[str, ...], explicit: tuple[str, ...]) -> list[Source]:
    entries = read_machine()
    host = _host_suite(entries, suite)
    if host is None:
        raise UsageError(
            f"the machine's apt configuration names no source for the suite {suite!r}, nor for one like it",
            hint="set workspace.debian.mirror (and security_mirror, keyring) in the BUILD.yaml of the workspace",
        )
    dates = apt_setting("Acquire::Check-Valid-Until/b", "true") == "true"
    found: list[Source] = []
    for one, archive in family(suite).items():
        wanted = host + one.removeprefix(suite)
        for entry in entries:
            served = tuple(name for name in components if name in entry.components)
            if wanted not in entry.suites or not served:
                continue
            keys, signers = _signed_by(entry.options.get("signed-by", ""))
            check = dates and entry.options.get("check-valid-until", "yes") != "no"
            keys = explicit or keys or default_keys()
            signers = () if explicit else signers
            found += [Source(archive, one, uri, served, keys, signers, check, True, True) for uri in entry.uris]
    return found


def _host_suite(entries: list[AptEntry], suite: str) -> str | None:
    """The suite of the machine's own entries whose URIs serve `suite`: itself, else the machine's release."""
    served = {name for entry in entries for name in entry.suites}
    for candidate in (suite, _codename(), *ALIASES, *ROLLING):
        if candidate in served:
            return candidate
    return None


def _codename() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            fields = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    except OSError:
        return ""
    return fields.get("VERSION_CODENAME", "").strip('"')


def _signed_by(value: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(keys, fingerprints) of a Signed-By option: files, armoured key text, or fingerprints."""
    if "BEGIN PGP PUBLIC KEY BLOCK" in value:
        lines = (line.strip() for line in value.splitlines())
        return ("\n".join("" if line == "." else line for line in lines).strip() + "\n",), ()
    words = [word for word in re.split(r"[\s,]+", value) if word]
    files = tuple(word for word in words if word.startswith("/"))
    prints = tuple(word.rstrip("!").upper() for word in words if not word.startswith("/"))
    return files, prints


def _listed(folder: str, start: str, ends: tuple[str, ...]) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if name.startswith(start) and name.endswith(ends)]


def apt_setting(name: str, default: str) -> str:
    """One setting as `apt-config shell` knows it (with its /f, /d or /b suffix); `default` without apt or value."""
    import subprocess

    program = shutil.which("apt-config")
    if program is None:
        return default
    done = subprocess.run([program, "shell", "VALUE", name], capture_output=True, text=True, check=False)
    words = shlex.split(done.stdout)
    return words[0].removeprefix("VALUE=") if done.returncode == 0 and words else default


def read_machine() -> list[AptEntry]:
    """All enabled `deb` entries of the machine: sources.list first, then its parts by name; [] without apt."""
    main = apt_setting("Dir::Etc::sourcelist/f", "/etc/apt/sources.list")
    parts = apt_setting("Dir::Etc::sourceparts/d", "/etc/apt/sources.list.d/")
    paths = [
        main,
        *_listed(parts, "", (".list", ".sources")),
    ]
    found: list[AptEntry] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        found += read_stanzas(text) if path.endswith(".sources") else read_lines(text)
    return found


def read_lines(lines: str) -> Iterator[AptEntry]:
    """The `deb` lines of a one-line-style file; what apt itself would refuse is left out."""
    for line in lines.splitlines():
        text = line.partition("#")[0].strip()
        if not text.startswith(("deb ", "deb\t")):
            continue
        options: dict[str, str] = {}
        rest = text[3:].strip()
        if match := _OPTION.match(rest):
            pairs = (pair.partition("=") for pair in match["options"].split())
            options = {name.rstrip("+-").lower(): value for name, _, value in pairs}
            rest = rest[match.end() :].strip()
        words = rest.split()
        if len(words) > 2:  # a flat repository has no components
            yield AptEntry((words[0].rstrip("/"),), (words[1],), tuple(words[2:]), options)


def read_stanzas(text: str) -> Iterator[AptEntry]:
    """The enabled `deb` stanzas of a deb822-style file."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines).strip()):
        fields = {name.lower(): value for name, value in read_fields(stanza).items()}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        uris = tuple(uri.rstrip("/") for uri in fields.get("uris", "").split())
        if uris and fields.get("components"):
            yield AptEntry(uris, tuple(fields.get("suites", "").split()), tuple(fields["components"].split()), fields)
