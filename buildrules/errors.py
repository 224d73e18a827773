"""The whole exception hierarchy. A message is lower case, quotes the culprit and says what to do.

This module is imported on every path, so it imports nothing itself.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Position:
    """A place in a file a user wrote: workspace-relative path, line and column counted from 1.

    Line 0 is the file as a whole: what is wrong was made from it, and stands in no line of it. `folders` are those that
    a repeated text stands for, where it is one.
    """

    __slots__ = ("_excerpt", "column", "folders", "line", "path")

    def __init__(
        self,
        path: str,
        line: int,
        column: int = 1,
        excerpt: "str | Callable[[], str]" = "",
        folders: "tuple[str, ...]" = (),
    ) -> None:
        self.path = path
        self.line = line
        self.column = column
        self.folders = folders
        self._excerpt = excerpt  # most places are never shown, and making one's excerpt takes a while

    @property
    def excerpt(self) -> str:
        """The line with the place in it marked, without what seems to be a credential; "" where there is none."""
        if not isinstance(self._excerpt, str):
            self._excerpt = self._excerpt()
        return self._excerpt

    @property
    def repeated(self) -> str:
        """For which folders, behind a message: " (for the folder 'models/fraud', and 199 more)"; else ""."""
        more = f", and {len(self.folders) - 1} more" if len(self.folders) > 1 else ""
        return f" (for the folder '{self.folders[0]}'{more})" if self.folders else ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path

    def __repr__(self) -> str:
        return f"Position({str(self)!r})"


class BuildrulesError(Exception):
    """Base of every error shown to a user without a traceback.

    `hint` is the way out, `position` the place in the user's file, `log` the last lines of a
    subprocess where there was one. None of them may hold a credential.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        position: Position | None = None,
        log: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.position = position
        self.log = log

    @property
    def each(self) -> "list[BuildrulesError]":
        """All that are wrong at once where it holds several, else itself."""
        return [self]


class UsageError(BuildrulesError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 2


class LoadError(BuildrulesError):
    """A BUILD.yaml, rule file or settings value is wrong. `errors` holds all of them at once."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        position: Position | None = None,
        log: str | None = None,
        errors: "list[LoadError] | None" = None,
    ) -> None:
        super().__init__(message, hint=hint, position=position, log=log)
        self.errors: list[LoadError] = errors or [self]

    @property
    def each(self) -> "list[BuildrulesError]":
        """See `BuildrulesError`."""
        return [*self.errors]


class ResolutionError(BuildrulesError):
    """Requirements or Debian packages cannot be satisfied; `log` holds the resolver's reason."""


class LockError(BuildrulesError):
    """A lock is missing, stale or unreadable, and may not be written now."""


class CredentialsError(BuildrulesError):
    """A secret that is needed cannot be read where it is kept, or was refused. Never holds the secret."""


class FetchError(BuildrulesError):
    """Content could not be downloaded, after the retries."""


class UndeclaredError(BuildrulesError):
    """A build for another build system wants what that did not declare."""

    exit_code = 3


class GoneError(FetchError):
    """The server answers, and says that the locked file no longer exists. Locking again helps."""

    exit_code = 4


class IntegrityError(BuildrulesError):
    """Content does not have the digest, size or signature it must have."""


class DamagedError(IntegrityError):
    """A blob of the store is not what its name says; `digest` is its name. Whoever can make it again does."""

    def __init__(self, message: str, digest: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.digest = digest


class StoreError(BuildrulesError):
    """The local store cannot be used: newer version, no space, no permission."""


class ActionError(BuildrulesError):
    """An action failed on its inputs."""


class UnexpectedError(ActionError):
    """An action or a command raised what nobody foresaw: a bug. `traceback` is Python's, as text without secrets."""

    def __init__(self, message: str, traceback: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.traceback = traceback


class RegistryError(BuildrulesError):
    """A registry refused a request or answered nonsense."""


class DockerError(BuildrulesError):
    """The Docker Engine cannot be reached or refused a request."""


class ServingError(BuildrulesError):
    """A started package did not get ready, died, or could not be stopped."""


class ExitedError(ServingError):
    """A started package ended by itself."""


class NotReadyError(ServingError):
    """A started package did not get ready in time."""


class BusyError(BuildrulesError):
    """This machine kept a started package from working for so long that nothing can be said of it."""


class PackageTestError(BuildrulesError):
    """A package does not do what its test wants.

    `failures` says what went wrong: {"kind", "message"}, where there is one with the name of the `request`, and with
    `detail` (a diff, or what was answered) and `log` (the package's last lines).
    """

    def __init__(self, message: str, failures: "list[dict[str, str]]", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.failures = failures


class Interrupted(BuildrulesError):
    """Ctrl-C. Everything finished so far is kept."""

    exit_code = 130


class UnheardError(BaseException):
    """What is printed cannot be written: nobody reads it any more (`closed`), or the disk is full.

    No Exception, so that nobody who catches all of them takes it for his own: like Ctrl-C it ends everything.
    """

    def __init__(self, reason: str, *, closed: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.closed = closed
