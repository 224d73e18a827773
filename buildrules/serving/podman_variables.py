"""How a package's variables get into a container of Podman: neither in the list of processes, nor as Podman's own.

What stands in Podman's environment works on Podman itself: PATH, HOME, LD_PRELOAD. So variables go by a file that only
this user may read, and that is gone when the container runs. Its lines hold no newlines, and what quotes mean in them
depends on the version of Podman: such values take the way by Podman's environment, if the name is not one it obeys.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping

from buildrules.errors import ServingError
from buildrules.snapshot.location import store_root
from buildrules.store.private import private_folder

__all__ = ["given"]

_SIMPLE = re.compile(r"[^\s\"'\\#$`](?:[^\n\r\"'\\#$`\0]*[^\s\"'\\#$`])?|")
_OBEYED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|LANG|LANGUAGE|TZ|TERM|GLIBC_TUNABLES|NOTIFY_SOCKET|REGISTRY_AUTH_FILE|"
    r"GO(?:DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)|CONTAINERS?|"
    r"(?:LC|LD|XDG|CONTAINERS?|PODMAN|BUILDAH|STORAGE|DBUS|DOCKER|LISTEN|SSL|SSH|NETAVARK|CNI)_.*|_.*|.*_PROXY",
    re.IGNORECASE,
)


@contextlib.contextmanager
def given(variables: Mapping[str, str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The options for `podman run`, and what has to stand in its environment, for as long as it starts.

    Raises ServingError for a variable that can go neither way.
    """
    simple = {name: value for name, value in variables.items() if _SIMPLE.fullmatch(value)}
    other = {name: value for name, value in variables.items() if name not in simple}
    for name in other:
        if _OBEYED.fullmatch(name):
            raise ServingError(
                f"variable {name!r} cannot be given to podman: it obeys it itself, and its value has quotes, blanks at"
                " an end, line breaks or other marks",
                hint="use --runner docker or rootfs",
            )
    options = [word for name in other for word in ("--env", name)]
    if not simple:
        yield options, other
        return
    with private_folder(os.path.join(store_root(), "tmp")) as folder:
        path = os.path.join(folder, "variables")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in simple.items())
        yield [*options, "--env-file", path], other
