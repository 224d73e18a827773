"""Files that Debian's maintainer scripts would have made, as entries of a layer.

Options, all with defaults: `user` ("nonroot"), `uid` (65532), `timezone` ("Etc/UTC").
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from buildrules.errors import ActionError
from buildrules.oci.parts.entry import DIRECTORY, SYMLINK, Entry
from buildrules.oci.recipe import bad_path

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
AUTHORITIES = re.compile(r"usr/share/ca-certificates/.+\.crt")
DEFAULTS: dict[str, Any] = {"user": "nonroot", "uid": 65532, "timezone": "Etc/UTC"}

_NOBODY = 65534
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SWITCH = """\
passwd:         files
group:          files
shadow:         files
gshadow:        files

hosts:          files dns
networks:       files

protocols:      files
services:       files
ethers:         files
rpc:            files
"""


def read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their defaults. Raises ActionError for an unknown one or one that makes no sense."""
    options = DEFAULTS | dict(given)
    unknown = sorted(set(options) - set(DEFAULTS))
    if unknown:
        raise ActionError(f"unknown option {unknown[0]!r} of a debian base", hint=f"known are {', '.join(DEFAULTS)}")
    if not isinstance(options["user"], str) or not _USER.fullmatch(options["user"]) or options["user"] == "nobody":
        raise ActionError(f"{options['user']!r} cannot be the name of the user of a debian base")
    if type(options["uid"]) is not int or not 0 < options["uid"] < _NOBODY:
        raise ActionError(f"{options['uid']!r} cannot be the number of a user; it must be between 1 and {_NOBODY - 1}")
    if not isinstance(options["timezone"], str) or bad_path(options["timezone"]):
        raise ActionError(f"{options['timezone']!r} is not the name of a time zone, like 'Etc/UTC'")
    return options


def root_links(architecture: str) -> Iterator[Entry]:
    """The links at the root of a merged-/usr system. The folders they lead to are made as well, if empty."""
    names = ["bin", "lib", *(["lib64"] if architecture == "amd64" else []), "sbin"]
    for name in names:
        yield Entry(f"usr/{name}", DIRECTORY, 0o755)
        yield Entry(name, SYMLINK, 0o777, link=f"usr/{name}")


def system_files(options: Mapping[str, Any], packages: Iterable[str], authorities: Mapping[str, bytes]) -> list[Entry]:
    """What the system layer needs besides its packages. `packages` are the names of all packages of the base,
    `authorities` the certificates that were met, by path."""
    names = set(packages)
    user, uid = options["user"], options["uid"]
    root = "root:x:0:" if user == "root" else ""
    lines = {
        "etc/passwd": [
            "root:x:0:0:root:/root:/usr/sbin/nologin",
            f"{user}:x:{uid}:{uid}:{user}:/home/{user}:/usr/sbin/nologin",
            f"nobody:x:{_NOBODY}:{_NOBODY}:nobody:/nonexistent:/usr/sbin/nologin",
        ],
        "etc/group": [root or "root:x:0:", f"{user}:x:{uid}:", f"nogroup:x:{_NOBODY}:"],
    }
    found = [_text(path, "\n".join(text) + "\n") for path, text in lines.items()]
    found += [
        _text("etc/nsswitch.conf", _SWITCH),
        Entry("tmp", DIRECTORY, 0o1777),
        Entry("var/tmp", DIRECTORY, 0o1777),
        Entry("run", DIRECTORY, 0o755),
        Entry("run/lock", DIRECTORY, 0o1777),
        Entry("var/run", SYMLINK, 0o777, link="/run"),
        Entry("var/lock", SYMLINK, 0o777, link="/run/lock"),
        # All of a layer is root's, so the home of the user is open to everybody.
        Entry(f"home/{user}", DIRECTORY, 0o777),
    ]
    if "tzdata" in names:
        zone = options["timezone"]
        found += [
            Entry("etc/localtime", SYMLINK, 0o777, link=f"/usr/share/zoneinfo/{zone}"),
            _text("etc/timezone", f"{zone}\n"),
        ]
    if authorities:
        bundle = b"".join(authorities[path].rstrip(b"\n") + b"\n" for path in sorted(authorities))
        found.append(Entry(BUNDLE, size=len(bundle), content=bundle))
        if "openssl" not in names:  # that package makes these links itself
            found += [
                Entry("usr/lib/ssl/cert.pem", SYMLINK, 0o777, link=f"/{BUNDLE}"),
                Entry("usr/lib/ssl/certs", SYMLINK, 0o777, link="/etc/ssl/certs"),
            ]
    return found


def python_files(version: str) -> list[Entry]:
    """The names that programs call the interpreter by; `version` is like "3.11"."""
    return [
        Entry("usr/bin/python3", SYMLINK, 0o777, link=f"python{version}"),
        Entry("usr/bin/python", SYMLINK, 0o777, link="python3"),
    ]


def status_file(control: str, package: str) -> Entry:
    """The package's entry below var/lib/dpkg/status.d, where scanners look in images without a dpkg."""
    lines = [line for line in control.strip("\n").split("\n") if not line.startswith("Status:")]
    lines.insert(1, "Status: install ok installed")
    return _text(f"var/lib/dpkg/status.d/{package}", "\n".join(lines) + "\n")


def _text(path: str, text: str) -> Entry:
    content = text.encode()
    return Entry(path, size=len(content), content=content)
