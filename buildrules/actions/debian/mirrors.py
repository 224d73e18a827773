"""Where Debian's archives are: the machine's own apt configuration, or mirrors named in the settings.

A source says which suite of which archive ("main" or "security") is served at which base URIs. Locks
hold pool paths and archives only, so any mirror serves them. Format: sources.list(5), both styles.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from buildrules.actions.debian.control import read_fields
from buildrules.errors import UsageError

COMPONENT = "main"
"""Of an archive, what is free software: all that a base is made of."""

ROLLING = ("sid", "unstable", "experimental", "rc-buggy")  # suites without updates and security
ALIASES = ("stable", "oldstable", "testing")

_KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
_LINE = re.compile(r"deb[ \t]+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)")

_APT = {
    "Dir::Etc::sourcelist/f": "/etc/apt/sources.list",
    "Dir::Etc::sourceparts/d": "/etc/apt/sources.list.d/",
    "Dir::Etc::trustedparts/d": "/etc/apt/trusted.gpg.d/",
    "Acquire::Check-Valid-Until/b": "true",
}
"""What is asked of apt, with what holds where it does not say."""

Entry = Mapping[str, str]
"""The fields of a deb822 stanza, in lower case; a line of the other style has the same."""


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
    keys: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    check_date: bool = True
    required: bool = True
    by_apt: bool = False


def family(suite: str) -> dict[str, str]:
    """The suites that make up one release, with the archive that serves each."""
    if suite in ROLLING:
        return {suite: "main"}
    return {suite: "main", f"{suite}-updates": "main", f"{suite}-security": "security"}


def find_sources(suite: str, settings: Mapping[str, Any], workspace: str = "") -> list[Source]:
    """The sources of a release, in the order they are to be tried for each (archive, suite).

    `settings` may hold `mirror`, `security_mirror`, `keyring` and `snapshot` (None or absent means the machine's own);
    a relative keyring is relative to `workspace`. Raises UsageError where nothing is configured.
    """
    keyring = settings.get("keyring")
    explicit = (os.path.join(workspace, os.path.expanduser(keyring)),) if keyring else ()
    mirrors = mirror_uris(settings)
    if not mirrors:
        return _from_machine(suite, explicit)
    keys = explicit or default_keys(_apt_settings())
    dated = bool(settings.get("snapshot"))
    return [
        Source(archive, one, uri, keys, (), not dated, one == suite or archive == "security")
        for one, archive in family(suite).items()
        if (uri := mirrors.get(archive))
    ]


def mirror_uris(settings: Mapping[str, Any]) -> dict[str, str]:
    """Base URI of each archive as the settings name them; {} where they leave it to the machine.

    `snapshot` is a time like 20250131T000000Z below `mirror` and `security_mirror`. Where the settings say nothing of
    the security archive of a snapshot, it is found by replacing a path segment `debian`. Raises UsageError where the
    mirror is missing.
    """
    mirror, security = (str(settings.get(name) or "").rstrip("/") for name in ("mirror", "security_mirror"))
    snapshot = settings.get("snapshot")
    if not mirror:
        for name in ("snapshot", "security_mirror"):
            if settings.get(name):
                raise UsageError(
                    f"workspace.debian.{name} is set without a mirror it belongs to",
                    hint="set workspace.debian.mirror to the address that holds dists/ and pool/, or snapshots of it",
                )
        return {}
    if snapshot and not security:
        security = re.sub(r"/debian(?=/|$)", "/debian-security", mirror)
    found = {"main": mirror} | ({"security": security} if security not in ("", mirror) else {})
    return {archive: f"{uri}/{snapshot}" if snapshot else uri for archive, uri in found.items()}


def base_uris(suite: str, settings: Mapping[str, Any]) -> dict[str, list[tuple[str, bool]]]:
    """Where `.deb` files may be fetched: for each archive (base URI, by apt) in the order to be tried.

    Raises UsageError where nothing is configured.
    """
    found: dict[str, list[tuple[str, bool]]] = {"main": [], "security": []}
    for source in find_sources(suite, settings):
        if (source.uri, source.by_apt) not in found[source.archive]:
            found[source.archive].append((source.uri, source.by_apt))
    return found


def default_keys(apt: Mapping[str, str]) -> tuple[str, ...]:
    """The machine's own Debian archive keys: the keyring package's file, else what apt trusts for every source."""
    for name in _KEYRINGS:
        path = os.path.join("/usr/share/keyrings", name)
        if os.path.exists(path):
            return (path,)
    return tuple(_listed(apt["Dir::Etc::trustedparts/d"], "debian", (".gpg", ".asc")))


def _from_machine(suite: str, explicit: tuple[str, ...]) -> list[Source]:
    apt = _apt_settings()
    entries = _entries(apt)
    host = _host_suite(entries, suite)
    if host is None:
        raise UsageError(
            f"the machine's apt configuration names no source for the suite {suite!r}, nor for one like it",
            hint="set workspace.debian.mirror (and security_mirror, keyring) in the BUILD.yaml of the workspace",
        )
    dates = apt["Acquire::Check-Valid-Until/b"] == "true"
    found: list[Source] = []
    for one, archive in family(suite).items():
        wanted = host + one.removeprefix(suite)
        for entry in entries:
            if wanted not in entry["suites"].split() or COMPONENT not in entry["components"].split():
                continue
            keys, signers = _signed_by(entry.get("signed-by", ""))
            check = dates and entry.get("check-valid-until", "yes") != "no"
            keys = explicit or keys or default_keys(apt)
            signers = () if explicit else signers
            uris = [uri.rstrip("/") for uri in entry["uris"].split()]
            found += [Source(archive, one, uri, keys, signers, check, True, True) for uri in uris]
    return found


def _host_suite(entries: list[Entry], suite: str) -> str | None:
    """The suite of the machine's own entries whose URIs serve `suite`: itself, else the machine's release."""
    served = {name for entry in entries for name in entry["suites"].split()}
    return next((one for one in (suite, _codename(), *ALIASES, *ROLLING) if one in served), None)


def _codename() -> str:
    import platform

    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


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


def _apt_settings() -> dict[str, str]:
    """The settings of `_APT` as `apt-config shell` knows them; the usual ones where there is no apt."""
    import subprocess

    program = shutil.which("apt-config")
    if program is None:
        return dict(_APT)
    names = [word for number, name in enumerate(_APT) for word in (f"V{number}", name)]
    done = subprocess.run([program, "shell", *names], capture_output=True, text=True, check=False)
    said = dict(word.split("=", 1) for word in shlex.split(done.stdout)) if done.returncode == 0 else {}
    return {name: said.get(f"V{number}", usual) for number, (name, usual) in enumerate(_APT.items())}


def _entries(apt: Mapping[str, str]) -> list[Entry]:
    """All enabled `deb` entries of the machine: sources.list first, then its parts by name; [] without apt."""
    parts = _listed(apt["Dir::Etc::sourceparts/d"], "", (".list", ".sources"))
    found: list[Entry] = []
    for path in (apt["Dir::Etc::sourcelist/f"], *parts):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        found += _stanzas(text) if path.endswith(".sources") else _lines(text)
    return found


def _lines(text: str) -> Iterator[Entry]:
    """The `deb` lines of a one-line-style file. A flat repository, which has no components, is none."""
    for line in text.splitlines():
        if match := _LINE.match(line.strip()):
            pairs = (pair.partition("=") for pair in (match["options"] or "").split())
            options = {name.rstrip("+-").lower(): value for name, _, value in pairs}
            yield {**options, "uris": match["uri"], "suites": match["suite"], "components": match["components"]}


def _stanzas(text: str) -> Iterator[Entry]:
    """The enabled `deb` stanzas of a deb822-style file."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines).strip()):
        fields = {name.lower(): value for name, value in read_fields(stanza).items()}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        if fields.get("components"):
            yield {"uris": "", "suites": "", **fields}
