"""Where Debian's archives are: the machine's own apt configuration, or mirrors named in the settings.

A source says which suite of which archive ("main" or "security") is served at which base URIs. Locks
hold pool paths and archives only, so any mirror serves them. Format: sources.list(5), both styles.
"""

import glob
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildrules.actions.debian.packages import read_fields
from buildrules.errors import UsageError

ARCHIVES = ("main", "security")
ROLLING = ("sid", "unstable", "experimental", "rc-buggy")  # suites without updates and security
ALIASES = ("stable", "oldstable", "testing")

_KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
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

    `snapshot` wins over `mirror`, since it says which day's archive is meant. `{archive}` in it stands for `debian`
    or `debian-security`; without it, a path segment `debian` is replaced for the security archive.
    """
    snapshot = settings.get("snapshot")
    if snapshot:
        snapshot = str(snapshot).rstrip("/")
        if "{archive}" in snapshot:
            return {
                archive: snapshot.replace("{archive}", name)
                for archive, name in (("main", "debian"), ("security", "debian-security"))
            }
        security = settings.get("security_mirror") or re.sub(r"/debian(?=/|$)", "/debian-security", snapshot)
        found = {"main": snapshot}
        return found | {"security": str(security).rstrip("/")} if security != snapshot else found
    mirror, security = settings.get("mirror"), settings.get("security_mirror")
    if not mirror:
        if security:
            raise UsageError(
                "'security_mirror' of the Debian settings is set without 'mirror'",
                hint="set workspace.debian.mirror as well",
            )
        return {}
    found = {"main": str(mirror).rstrip("/")}
    return found | {"security": str(security).rstrip("/")} if security else found


def base_uris(suite: str, settings: Mapping[str, Any]) -> dict[str, list[tuple[str, bool]]]:
    """Where `.deb` files may be fetched: for each archive (base URI, by apt) in the order to be tried.

    The mirror or the machine's configuration first, a snapshot last. Raises UsageError where there is neither.
    """
    found: dict[str, list[tuple[str, bool]]] = {archive: [] for archive in ARCHIVES}
    plain = {name: value for name, value in settings.items() if name != "snapshot"}
    try:
        configured = find_sources(suite, plain)
    except UsageError:
        if not settings.get("snapshot"):
            raise
        configured = []
    for source in configured:
        if (source.uri, source.by_apt) not in found[source.archive]:
            found[source.archive].append((source.uri, source.by_apt))
    if settings.get("snapshot"):
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
    return tuple(sorted(path for kind in ("gpg", "asc") for path in glob.glob(os.path.join(folder, f"debian*.{kind}"))))


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
        *sorted(path for kind in ("list", "sources") for path in glob.glob(os.path.join(parts, f"*.{kind}"))),
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


def read_lines(text: str) -> Iterator[AptEntry]:
    """The `deb` lines of a one-line-style file; what apt itself would refuse is left out."""
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line.startswith(("deb ", "deb\t")):
            continue
        options: dict[str, str] = {}
        rest = line[3:].strip()
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
