"""Errors on their way between processes: plain JSON by class, and the same error again."""

from collections.abc import Mapping

from buildrules import errors
from buildrules.credentials.redact import without_logins
from buildrules.errors import ActionError, BuildrulesError, DamagedError, PackageTestError, Position
from buildrules.start.secret import hide
from buildrules.typed import Any

_TEXTS = ("hint", "log")


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
    return found


def raised(value: Mapping[str, Any]) -> BuildrulesError:
    """The error of `told`, to be raised. Of a class that needs more than it says it is an ActionError."""
    message, hint, log = str(value["message"]), value.get("hint"), value.get("log")
    position = _position(value)
    if value["class"] == "PackageTestError" and isinstance(value.get("failures"), list):
        return PackageTestError(message, value["failures"], hint=hint)
    found: Any = getattr(errors, str(value["class"]), None)
    plain = isinstance(found, type) and issubclass(found, BuildrulesError)
    if not plain or found.__init__ is not BuildrulesError.__init__:
        found = ActionError
    made: BuildrulesError = found(message, hint=hint, position=position, log=log)
    return made


def _position(value: Mapping[str, Any]) -> Position | None:
    path, _, rest = str(value.get("position", "")).partition(":")
    line, _, column = rest.partition(":")
    if not path:
        return None
    number, of = int(line) if line.isdecimal() else 0, value.get("folders")
    folders = tuple(map(str, of)) if isinstance(of, list) else ()
    return Position(path, number, int(column) if column.isdecimal() else 1, str(value.get("excerpt", "")), folders)


def _shown(text: str) -> str:
    """A text that may quote others, without secrets."""
    return hide(without_logins(hide(text), queries=False))
