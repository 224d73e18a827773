"""All errors of a load, collected, so that the user sees them at once."""

import re

from buildrules.errors import LoadError, Position

MOST = 1000
"""Errors that are kept: nobody reads more, and a hostile file could make as many as it has values."""


class Problems:
    """Collects LoadErrors, up to MOST; the rest is counted.

    Hand one instance through all steps of a load, and call `raise_all` at the end.
    """

    def __init__(self) -> None:
        self._errors: list[LoadError] = []
        self._more = 0  # that were not kept

    def add(self, message: str, *, hint: str | None = None, position: Position | None = None) -> None:
        """Note one error."""
        self._keep(LoadError(message, hint=hint, position=position))

    def add_error(self, error: LoadError, position: Position | None = None) -> None:
        """Note an error that was raised; `position` is where it belongs if it does not know."""
        for one in error.errors:
            if one.position is None:
                one.position = position
            self._keep(one)

    def _keep(self, error: LoadError) -> None:
        if len(self._errors) < MOST:
            self._errors.append(error)
        else:
            self._more += 1

    def has(self, position: Position) -> bool:
        """Whether an error was noted at this very place."""
        return any(str(error.position) == str(position) for error in self._errors)

    @property
    def errors(self) -> list[LoadError]:
        """The errors by place, then as they came; the same error at the same place only once, for all its folders."""
        seen: dict[tuple[str, str], LoadError] = {}
        for error in self._errors:
            first = seen.setdefault((str(error.position), _for_any_folder(error)), error).position
            if first is not None and error.position is not None and first.folders != error.position.folders:
                first.folders = tuple(dict.fromkeys((*first.folders, *error.position.folders)))
        return sorted(seen.values(), key=_place)

    def __len__(self) -> int:
        return len(self._errors) + self._more

    def raise_all(self) -> None:
        """Raise one LoadError that holds all, if there are any."""
        errors = self.errors
        if not errors:
            return
        if len(errors) == 1:
            raise errors[0]
        files = {error.position.path for error in errors if error.position}
        where = f" in {len(files)} files" if len(files) > 1 else f" in {files.pop()}" if files else ""
        raise LoadError(f"{len(errors) + self._more} errors{where}", errors=errors)


def _for_any_folder(error: LoadError) -> str:
    """The message, with the names of the folder that a template stands for there taken out of what it quotes."""
    if error.position is None or not error.position.folders:
        return error.message
    folder = error.position.folders[0]
    names = "|".join(re.escape(name) for name in (folder, *reversed(folder.split("/"))))
    own = re.compile(rf"(?<![^\W_])(?:{names})(?![^\W_])")
    return re.sub(r"'[^']*'", lambda quoted: own.sub("{}", quoted[0]), error.message)


def _place(error: LoadError) -> tuple[str, int, int]:
    position = error.position
    return (position.path, position.line, position.column) if position else ("", 0, 0)
