"""Requirements that name a repository: there is no fixed content to lock, so each is an error with a way out."""

import re
import shlex

from buildrules.credentials.redact import scrub
from buildrules.errors import LoadError, Position

_REPOSITORY = re.compile(
    r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*@\s*)?"
    r"(?P<address>(?:(?:git|hg|svn|bzr)\+|git://|ssh://|git@[\w.-]+:(?!//))\S+)"
)
_SHORT = re.compile(r"(?:git\+)?(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?!//)(?P<path>\S+)")  # as git and ssh write it
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_SUBDIRECTORY = re.compile(r"[#&](subdirectory=[^&\s]+)")
_GITHUB = re.compile(r"git\+(?:https|ssh)://(?:git@)?github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?(?:@([\w./-]+))?")


def repository_error(text: str, position: Position | None) -> LoadError | None:
    """The error for a requirement of a repository, as pip takes it, also behind `-e`; None for any other."""
    found = _REPOSITORY.match(text)
    if found is None:
        return None
    egg = _EGG.search(found["address"])
    name = found["name"] or (egg[1] if egg else "")
    return LoadError(
        f"{scrub(text)!r} names a repository, which has no fixed content to lock",
        position=position,
        hint=released(name, found["address"]),
    )


def released(name: str, address: str) -> str:
    """The way out for what a repository would bring: of GitHub, the archive of the same commit; a wheel of any other.

    `address` is pip's, or what git takes; nothing of a login is in the answer.
    """
    short = _SHORT.fullmatch(address)
    if short is not None:
        address = f"git+ssh://{short['user']}@{short['host']}/{short['path']}"
    elif address.startswith(("git://", "ssh://")):
        address = f"git+{address}"
    place, _, _ = address.partition("#")
    part = _SUBDIRECTORY.search(address)
    command = shlex.quote(scrub(place) + (f"#{part[1]}" if part else ""))
    name = name or "NAME"
    wheel = f"build a wheel and give its path: `pip wheel --no-deps -w wheels {command}` makes wheels/{name}-....whl"
    github = _GITHUB.fullmatch(place) if part is None else None
    if github is None:
        return wheel
    archive = f"{name} @ https://github.com/{github[1]}/archive/{github[2] or 'COMMIT'}.tar.gz"
    return f"write {archive}; or {wheel}"
