"""pip's settings on this machine. None of them counts: a lock follows from the workspace, and uv resolves it.

Who has an index there expects it to be asked. So what a lock goes without is said, with the connection to write.
Format: pip's documentation, "Configuration".
"""

import configparser
import json
import os
import re
from collections.abc import Collection, Iterator

from buildrules.actions.python.uv_settings import addresses, shown
from buildrules.credentials.address import split_userinfo
from buildrules.credentials.redact import redact

_ADDRESSES = ("index-url", "extra-index-url", "find-links")
_PUBLIC = ("https://pypi.org/simple", "https://pypi.python.org/simple")


def not_read(root: str, known: Collection[str]) -> str | None:
    """A sentence for all indexes and folders that pip would ask and nobody asks for the workspace at `root`, with what
    to write there; None where there are none. `known` are addresses that uv has besides those in its files. Folders
    that are not there are no loss. Nothing of a login is in it.
    """
    known = {*known, *_PUBLIC, *re.split(r"[\s,]+", os.environ.get("UV_FIND_LINKS", "")), *addresses(root)}
    known = {_plain(url) for url in known}
    missed = {
        url: (key, where)
        for key, where, url in _named()
        if _plain(url) not in known and (_is_remote(url) or os.path.isdir(_plain(url)))
    }
    if not missed:
        return None
    shown = {url: redact(url) for url in missed}
    feeds = [shown[url] for url, (key, _) in missed.items() if key != "find-links" and _is_remote(url)]
    ways = [
        f"under workspace.connections `feed{n or ''}: {{type: python_feed, target: {url!r}}}`"
        for n, url in enumerate(feeds)
    ]
    settings = []
    for setting in ("find-links", "extra-index-url"):
        urls = [
            shown[url]
            for url, (key, _) in missed.items()
            if shown[url] not in feeds and (key == "find-links") == (setting == "find-links")
        ]
        if urls:
            settings.append(f"`{setting} = {json.dumps(urls)}`")
    if settings:
        ways.append(f"in a uv.toml at the workspace's root {' and '.join(settings)}")
    places = " and ".join(dict.fromkeys(where for _, where in missed.values()))
    return (
        f"not asked, since pip's settings are no part of the workspace: {', '.join(shown.values())} ({places})"
        f"\n  hint: to have them asked, write {'; '.join(ways)}"
    )


def _is_remote(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _named() -> Iterator[tuple[str, str, str]]:
    """(key, where, address or folder) of all that pip would look into, the last setting of a name winning as in pip."""
    settings: dict[str, tuple[str, str]] = {}
    for path in _files():
        settings |= {key: (f"{key!r} in {shown(path)}", value) for key, value in _read(path)}
    for key in _ADDRESSES:
        variable = f"PIP_{key.upper().replace('-', '_')}"
        if os.environ.get(variable):
            settings[key] = variable, os.environ[variable]
    for key, (where, value) in settings.items():
        for word in value.split():
            yield key, where, word


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
