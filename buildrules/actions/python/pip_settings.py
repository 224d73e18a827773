"""pip's settings on this machine. None of them counts: a lock follows from the workspace, and uv resolves it.

Who has an index there expects it to be asked. So what a lock goes without is said, with the connection to write.
Format: pip's documentation, "Configuration".
"""

import configparser
import os
import re
from collections.abc import Collection, Iterator

from buildrules.actions.python.uv_settings import shown
from buildrules.credentials.address import split_userinfo
from buildrules.credentials.redact import redact

_ADDRESSES = ("index-url", "extra-index-url", "find-links")
_PUBLIC = ("https://pypi.org/simple", "https://pypi.python.org/simple")


def not_read(known: Collection[str]) -> list[str]:
    """A sentence for all indexes and folders that pip would ask and nobody asks here; `known` are addresses that uv
    has. Nothing of a login is in it.
    """
    known = {_plain(url) for url in (*known, *_PUBLIC, *re.split(r"[\s,]+", os.environ.get("UV_FIND_LINKS", "")))}
    missed = {url: where for where, url in _named() if _plain(url) not in known}
    if not missed:
        return []
    indexes = [url for url in missed if url.startswith(("http://", "https://"))]
    ways = [
        f"declare it under workspace.connections: `feed{n or ''}: {{type: python_feed, target: {redact(url)!r}}}`"
        for n, url in enumerate(indexes)
    ]
    if len(indexes) < len(missed):
        ways.append("name a folder under find-links in a uv.toml at the workspace's root")
    places = " and ".join(dict.fromkeys(missed.values()))
    return [
        f"{', '.join(map(redact, missed))} of {places} is not asked: pip's settings are no part of the workspace"
        f"\n  hint: {'; '.join(ways)}"
    ]


def _named() -> Iterator[tuple[str, str]]:
    """(where, address or folder) of all that pip would look into, the last setting of a name winning as in pip."""
    settings: dict[str, tuple[str, str]] = {}
    for path in _files():
        settings |= {key: (f"{key!r} in {shown(path)}", value) for key, value in _read(path)}
    for key in _ADDRESSES:
        variable = f"PIP_{key.upper().replace('-', '_')}"
        if os.environ.get(variable):
            settings[key] = variable, os.environ[variable]
    for where, value in settings.values():
        for word in value.split():
            yield where, word


def _files() -> list[str]:
    """pip's configuration files that are there, those that count most last."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = os.path.expanduser("~")
    system = [os.path.join(folder, "pip", "pip.conf") for folder in _system_folders()]
    user = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "pip", "pip.conf")
    places = [*system, "/etc/pip.conf", os.path.join(home, ".pip", "pip.conf"), user, *([chosen] if chosen else [])]
    return [path for path in places if os.path.isfile(path)]


def _system_folders() -> list[str]:
    return [folder for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]


def _read(path: str) -> Iterator[tuple[str, str]]:
    """(key, value) of the addresses in a file; nothing where pip could not read it either."""
    parser = configparser.RawConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (configparser.Error, OSError, UnicodeDecodeError):
        return
    for section in ("global", "wheel", "install", "download"):
        if parser.has_section(section):
            for key, value in parser.items(section):
                if key.replace("_", "-") in _ADDRESSES:
                    yield key.replace("_", "-"), value


def _plain(url: str) -> str:
    """An address to compare: without login, slash at the end, and `file:`."""
    try:
        return split_userinfo(url)[0].rstrip("/").removeprefix("file://")
    except ValueError:
        return url
