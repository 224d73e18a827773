"""Reads a secret from where it is kept, at the moment it is needed, and keeps it out of what is shown.

A reference is plain data: {"env": NAME}, {"file": path} or {"keyring": "service/user"}.
"""

import os
from collections.abc import Mapping

from buildrules.errors import CredentialsError
from buildrules.start.secret import conceal

LARGEST = 64 << 10  # bytes of a file
_PATIENCE = 60.0  # seconds a program that keeps secrets has to answer


class Secrets:
    """Reads secrets. `root` is where relative paths start; a keyring is asked once for each entry."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._from_keyring: dict[str, str] = {}

    def read(self, reference: Mapping[str, str], asker: str) -> str:
        """The secret, without the line break at its end. `asker` is who wants it, in words.

        Raises CredentialsError, which names the place and never the value.
        """
        ((kind, where),) = reference.items()
        if kind == "env":
            value = _variable(where, asker)
        else:
            value = _file(where, self._root, asker) if kind == "file" else self._keyring(where, asker)
        value = value.rstrip("\r\n")
        if not value:
            away = "; CI gives pull requests from forks an empty one" if kind == "env" else ""
            raise CredentialsError(f"{asker}: {place(reference)} is empty", hint=f"put the secret there{away}")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise CredentialsError(
                f"{asker}: {place(reference)} holds a line break or control character, which no secret has",
                hint="put the secret there, and nothing else",
            )
        conceal([value])
        return value

    def _keyring(self, entry: str, asker: str) -> str:
        """By the `keyring` program where there is one, else by the library of that name."""
        if entry not in self._from_keyring:
            service, _, user = entry.rpartition("/")
            value = _ask_program(service, user, asker)
            if not value:
                raise CredentialsError(
                    f"{asker}: the keyring has no entry {entry!r}", hint=f"add it: keyring set {service} {user}"
                )
            self._from_keyring[entry] = value
        return self._from_keyring[entry]


def place(reference: Mapping[str, str]) -> str:
    """Where a secret is kept, in words."""
    ((kind, where),) = reference.items()
    words = {"env": "the environment variable", "file": "the file", "keyring": "the keyring's entry"}
    return f"{words[kind]} {where!r}"


def _variable(name: str, asker: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise CredentialsError(
            f"{asker}: the environment variable {name!r} is not set", hint=f"set {name} to the secret and try again"
        )
    return value


def _file(path: str, root: str, asker: str) -> str:
    try:
        with open(os.path.join(root, os.path.expanduser(path)), "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise CredentialsError(f"{asker}: the file {path!r} is too large for a secret")
        return data.decode()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise CredentialsError(
            f"{asker}: the file {path!r} cannot be read: {reason}",
            hint="write the secret there; a relative path starts at the root of the workspace",
        ) from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{asker}: the file {path!r} is not text") from None


def _ask_program(service: str, user: str, asker: str) -> str | None:
    try:
        answer = ask_program(["keyring", "get", service, user], asker, "the keyring")
    except OSError:
        return _ask_library(service, user, asker)
    return None if answer is None else answer.decode(errors="replace")


def ask_program(command: list[str], asker: str, what: str, request: bytes = b"") -> bytes | None:
    """What a program that keeps secrets answers to `request`; None where it has none.

    Raises CredentialsError where `what` (the program, in words) does not answer: it may wait for somebody to unlock
    it. Raises OSError where there is no such program.
    """
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, check=False, input=request, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise CredentialsError(
            f"{asker}: {what} did not answer within {_PATIENCE:g} s",
            hint="unlock it, or keep the secret elsewhere: env or file",
        ) from None
    return done.stdout if done.returncode == 0 else None


def _ask_library(service: str, user: str, asker: str) -> str | None:
    import importlib

    try:
        library = importlib.import_module("keyring")
    except ImportError:
        raise CredentialsError(
            f"{asker}: there is no keyring here, neither the program nor the library",
            hint="install it (pip install keyring), or keep the secret elsewhere: {env: NAME} or {file: path}",
        ) from None
    try:
        value = library.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - back ends raise what they like, and may quote what they hold
        raise CredentialsError(f"{asker}: the keyring failed ({type(error).__name__})") from None
    return value if isinstance(value, str) else None
