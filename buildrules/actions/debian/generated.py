"""Files that Debian's maintainer scripts would have made, as entries of a layer."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from buildrules.oci.parts.entry import DIRECTORY, SYMLINK, Entry

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
AUTHORITIES = re.compile(r"usr/share/ca-certificates/.+\.crt")
_USER = ("nonroot", 65532, 65532)
"""Name, number, and number of the group of the user that every base has."""
_NOBODY = 65534
_ZONE = "Etc/UTC"
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


def root_links(architecture: str) -> Iterator[Entry]:
    """The links at the root of a merged-/usr system. The folders they lead to are made as well, if empty."""
    names = ["bin", "lib", *(["lib64"] if architecture == "amd64" else []), "sbin"]
    for name in names:
        yield Entry(f"usr/{name}", DIRECTORY, 0o755)
        yield Entry(name, SYMLINK, 0o777, link=f"usr/{name}")


def system_files(packages: Iterable[str], authorities: Mapping[str, bytes]) -> list[Entry]:
    """What the system layer needs besides its packages. `packages` are the names of all packages of the base,
    `authorities` the certificates that were met, by path."""
    names = set(packages)
    found = [_text(path, text) for path, text in account_files(()).items()]
    found += [
        _text("etc/nsswitch.conf", _SWITCH),
        Entry("tmp", DIRECTORY, 0o1777),
        Entry("var/tmp", DIRECTORY, 0o1777),
        Entry("run", DIRECTORY, 0o755),
        Entry("run/lock", DIRECTORY, 0o1777),
        Entry("var/run", SYMLINK, 0o777, link="/run"),
        Entry("var/lock", SYMLINK, 0o777, link="/run/lock"),
        # Of root's group as well: platforms that run images as some other user give it that group.
        Entry(f"home/{_USER[0]}", DIRECTORY, 0o775, owner=_USER[1]),
    ]
    if "tzdata" in names:
        found += [
            Entry("etc/localtime", SYMLINK, 0o777, link=f"/usr/share/zoneinfo/{_ZONE}"),
            _text("etc/timezone", f"{_ZONE}\n"),
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


def knows(uid: int) -> bool:
    """Whether every base has a user of this number."""
    return uid in (0, _USER[1], _NOBODY)


def account_files(users: Sequence[tuple[str, int, int]]) -> dict[str, str]:
    """etc/passwd and etc/group, by path, of a base with more users: name, number, number of the group."""
    rows = [("root", 0, 0, "/root"), *((*one, f"/home/{one[0]}") for one in (_USER, *users))]
    rows.append(("nobody", _NOBODY, _NOBODY, "/nonexistent"))
    groups: dict[int, str] = {}
    for name, _, gid, _ in rows:
        groups.setdefault(gid, "nogroup" if name == "nobody" else name)
    return {
        "etc/passwd": "".join(
            f"{name}:x:{uid}:{gid}:{name}:{home}:/usr/sbin/nologin\n" for name, uid, gid, home in rows
        ),
        "etc/group": "".join(f"{name}:x:{gid}:\n" for gid, name in groups.items()),
    }


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
