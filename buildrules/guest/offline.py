"""A session that asks nobody."""

from collections.abc import Mapping
from typing import Any

from buildrules.errors import UndeclaredError
from buildrules.guest.reads import workspace_file
from buildrules.net.client import Answer, Client, FileAnswer
from buildrules.net.session import Session
from buildrules.start.failure import UNUSABLE, Failure
from buildrules.start.secret import hide


class OfflineSession(Session):
    """Opens no connection, and no file but those of the workspace laid out at `root`. `refused` says what it was asked
    for."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self.root = root
        self.refused: list[str] = []

    @property
    def client(self) -> Client:
        """Answers with files, and fails for all else."""
        return self.own(_client)


def _client(session: Session) -> Client:
    assert isinstance(session, OfflineSession)
    return _Offline(session)


class _Offline(Client):
    def __init__(self, session: OfflineSession) -> None:
        super().__init__(session.connections)
        self._session = session

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Any = None, **more: Any) -> Answer:
        raise self._refusal(url)

    def get(self, url: str, extra: Mapping[str, str] | None = None) -> Answer | FileAnswer:
        if workspace_file(url, self._session.root) is None:
            raise self._refusal(url)
        return super().get(url, extra)

    def _refusal(self, url: str) -> Failure:
        from buildrules.credentials.redact import redact

        shown = hide(redact(url))
        self._session.refused.append(shown)
        return Failure(UNUSABLE, f"nothing is fetched with --offline, {shown} neither", hint=HINT)


HINT = "give it as content: a line 'sha256:HEX  PATH' of the inputs"


def check_refused(session: Session, label: str) -> None:
    """Raise UndeclaredError where something was asked for, though settling could do without it."""
    if isinstance(session, OfflineSession) and session.refused:
        raise UndeclaredError(
            f"content is not declared, and nothing is fetched: {session.refused[0]}, which {label} wants", hint=HINT
        )
