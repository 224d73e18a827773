"""Image names as people write them: checked, with their tag, in the short and in the full form.

Grammar: the "reference" grammar of the distribution project, shared by Docker, containerd and podman.
What comes before the first slash is a registry if it has a dot or a port, or is `localhost`.
"""

import re

from buildrules.errors import UsageError

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")
_DEFAULT_HOST = "docker.io"  # what a name without a registry means to every engine


def tagged(name: str) -> str:
    """`name` with its tag, `:latest` where it has none. Raises UsageError for anything that is no name."""
    host, path, tag = split_name(name)
    known = PATH.fullmatch(path) and TAG.fullmatch(tag) and (not host or HOST.fullmatch(host))
    if not known or len(path) > 255:
        raise UsageError(
            f"not an image name: {name!r}",
            hint="write it as name:tag or registry/name:tag, lower case, for example acme/regressor:1.0",
        )
    return f"{host}/{path}:{tag}" if host else f"{path}:{tag}"


def full(name: str) -> str:
    """The name containerd keeps images under: with its registry, and `library/` where Docker implies it.

    Raises UsageError.
    """
    host, path, tag = split_name(tagged(name))
    if host in ("", _DEFAULT_HOST, "index." + _DEFAULT_HOST):
        host = _DEFAULT_HOST
        path = path if "/" in path else "library/" + path
    return f"{host}/{path}:{tag}"


def without_tag(name: str) -> str:
    """`name` without its tag, if it has one. Nothing is checked."""
    host, path, _ = split_name(name)
    return f"{host}/{path}" if host else path


def split_name(name: str) -> tuple[str, str, str]:
    """Registry ("" for none), path and tag of a name, none of them checked."""
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "", name
    path, _, tag = path.partition(":")
    return host, path, tag or ("latest" if not name.endswith(":") else "")
