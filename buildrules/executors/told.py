"""Errors on their way between processes: plain JSON by class, and the same error again.

Whoever sends one may be hostile: it has as few lines as one of ours, and nothing that a terminal would obey.
"""

from collections.abc import Mapping

from buildrules import errors
from buildrules.credentials.redact import without_logins
from buildrules.errors import ActionError, BuildrulesError, DamagedError, PackageTestError, Position, UnexpectedError
from buildrules.start.secret import hide
from buildrules.typed import Any

_TEXTS = ("hint", "log")
_CLASSES = frozenset(
    (
        "ActionError",
        "BusyError",
        "DockerError",
        "ExitedError",
        "FetchError",
        "IntegrityError",
        "LockError",
        "NotReadyError",
        "RegistryError",
        "ResolutionError",
        "ServingError",
    )
)
"""What a step elsewhere may end with. Others say something of this command or this machine, as Interrupted does."""

_LINE, _LINES = 2000, 64 << 10  # characters of a text
_MANY = 1000  # of a list


def told(error: BuildrulesError) -> dict[str, Any]:
    """An error by its class, with what only that class has. It holds no secret that this process knows of."""
    found: dict[str, Any] = {"class": type(error).__name__, "message": _shown(error.message)}
    found.update({name: _shown(text) for name in _TEXTS if (text := getattr(error, name))})
    if error.position:
        found["position"] = str(error.position)
        if error.position.folders:
            found["folders"] = list(error.position.folders)
        found["excerpt"] = _shown(error.position.excerpt)
    if isinstance(error, DamagedError):
        found["digest"] = error.digest
    if isinstance(error, PackageTestError):
        found["failures"] = [{name: hide(text) for name, text in one.items()} for one in error.failures]
    if isinstance(error, UnexpectedError):
        found["traceback"] = _shown(error.traceback)
    return found


def raised(value: Mapping[str, Any]) -> BuildrulesError:
    """The error of `told`, to be raised: an ActionError where a step elsewhere raises none of its class.

    Raises KeyError, TypeError, AttributeError for anything else.
    """
    message, hint, log = in_line(value["message"]), value.get("hint"), value.get("log")
    hint, log = hint and in_line(hint), log and in_lines(log)
    position = _position(value)
    if value["class"] == "PackageTestError" and isinstance(value.get("failures"), list):
        rows = value["failures"][:_MANY]
        return PackageTestError(message, [{str(key): in_lines(one[key]) for key in one} for one in rows], hint=hint)
    if value["class"] == "UnexpectedError":
        return UnexpectedError(message, in_lines(value.get("traceback", "")), hint=hint)
    found = getattr(errors, value["class"]) if value["class"] in _CLASSES else ActionError
    made: BuildrulesError = found(message, hint=hint, position=position, log=log)
    return made


def _position(value: Mapping[str, Any]) -> Position | None:
    path, _, rest = str(value.get("position", "")).partition(":")
    line, _, column = rest.partition(":")
    if not path:
        return None
    number, of = int(line) if line.isdecimal() else 0, value.get("folders")
    folders = tuple(map(in_line, of[:_MANY])) if isinstance(of, list) else ()
    at = int(column) if column.isdecimal() else 1
    return Position(in_line(path), number, at, in_lines(value.get("excerpt", "")), folders)


def in_line(text: object, longest: int = _LINE) -> str:
    """A text of others as one line of what can be printed."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text)[:longest])


def in_lines(text: object) -> str:
    """A text of others in lines of what can be printed, the last ones where it is long."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in str(text)[-_LINES:])


def _shown(text: str) -> str:
    """A text that may quote others, without secrets."""
    return hide(without_logins(hide(text), queries=False))
