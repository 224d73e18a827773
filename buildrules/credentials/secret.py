"""Reads a secret from where it is kept, at the moment it is needed, and keeps it out of what is shown.

A reference is plain data: {"env": NAME}, {"file": path} or {"keyring": "service/user"}.
"""

import os
from collections.abc import Mapping

from buildrules.errors import CredentialsError
from buildrules.start.secret import conceal, hide

__all__ = ["ask_program", "conceal", "forget", "hide", "place", "read"]

LARGEST = 64 << 10  # bytes of a file
_PATIENCE = 60.0  # seconds a program that keeps secrets has to answer

_from_keyring: dict[str, str] = {}


def read(reference: Mapping[str, str], root: str, owner: str) -> str:
    """The secret, without the line break at its end. `root` is where relative paths start, `owner` is who asks.

    Raises CredentialsError, which names the place and never the value.
    """
    ((kind, where),) = reference.items()
    if kind == "env":
        value = _variable(where, owner)
    else:
        value = _file(where, root, owner) if kind == "file" else _keyring(where, owner)
    value = value.rstrip("\r\n")
    if not value:
        raise CredentialsError(f"{owner}: {place(reference)} is empty", hint="put the secret there")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise CredentialsError(
            f"{owner}: {place(reference)} holds a line break or control character, which no secret has",
            hint="put the secret there, and nothing else",
        )
    conceal([value])
    return value


def place(reference: Mapping[str, str]) -> str:
    """Where a secret is kept, in words."""
    ((kind, where),) = reference.items()
    words = {"env": "the environment variable", "file": "the file", "keyring": "the keyring's entry"}
    return f"{words[kind]} {where!r}"


def forget() -> None:
    """Ask the keyring again next time."""
    _from_keyring.clear()


def _variable(name: str, owner: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise CredentialsError(
            f"{owner}: the environment variable {name!r} is not set", hint=f"set {name} to the secret and try again"
        )
    return value


def _file(path: str, root: str, owner: str) -> str:
    try:
        with open(os.path.join(root, os.path.expanduser(path)), "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise CredentialsError(f"{owner}: the file {path!r} is too large for a secret")
        return data.decode()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise CredentialsError(
            f"{owner}: the file {path!r} cannot be read: {reason}",
            hint="write the secret there; a relative path starts at the root of the workspace",
        ) from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{owner}: the file {path!r} is not text") from None


def _keyring(entry: str, owner: str) -> str:
    """By the `keyring` program where there is one, else by the library of that name."""
    if entry not in _from_keyring:
        service, _, user = entry.rpartition("/")
        value = _ask_program(service, user, owner)
        if not value:
            raise CredentialsError(
                f"{owner}: the keyring has no entry {entry!r}", hint=f"add it: keyring set {service} {user}"
            )
        _from_keyring[entry] = value
    return _from_keyring[entry]


def _ask_program(service: str, user: str, owner: str) -> str | None:
    try:
        answer = ask_program(["keyring", "get", service, user], owner, "the keyring")
    except OSError:
        return _ask_library(service, user, owner)
    return None if answer is None else answer.decode(errors="replace")


def ask_program(command: list[str], owner: str, what: str, request: bytes = b"") -> bytes | None:
    """What a program that keeps secrets answers to `request`; None where it has none.

    Raises CredentialsError where `what` (the program, in words) does not answer: it may wait for somebody to unlock
    it. Raises OSError where there is no such program.
    """
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, check=False, input=request, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise CredentialsError(
            f"{owner}: {what} did not answer within {_PATIENCE:g} s",
            hint="unlock it, or keep the secret elsewhere: env or file",
        ) from None
    return done.stdout if done.returncode == 0 else None


def _ask_library(service: str, user: str, owner: str) -> str | None:
    import importlib

    try:
        library = importlib.import_module("keyring")
    except ImportError:
        raise CredentialsError(
            f"{owner}: there is no keyring here, neither the program nor the library",
            hint="install it (pip install keyring), or keep the secret elsewhere: {env: NAME} or {file: path}",
        ) from None
    try:
        value = library.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - back ends raise what they like, and may quote what they hold
        raise CredentialsError(f"{owner}: the keyring failed ({type(error).__name__})") from None
    return value if isinstance(value, str) else None
