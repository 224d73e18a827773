"""The machines that one command runs steps on, by its options, the environment, and the settings of its workspace.

BUILDRULES_EXECUTOR=URL stands in for `workspace.executor`, `--executor` for both; "local" is this machine.
"""

import os
from collections.abc import Mapping
from typing import Any

from buildrules.cli.sharing import namespace_of, settings_of
from buildrules.credentials.redact import redact
from buildrules.engine.events import Notice, Stream
from buildrules.errors import UsageError
from buildrules.executors.engine import Engine
from buildrules.executors.opening import open_engine, scheme_of
from buildrules.net.session import Session
from buildrules.remote.trust import Trust
from buildrules.workspace.trust import open_trust

LOCAL = "local"


def address_of(settings: Mapping[str, Any], asked: str | None) -> str | None:
    """The address of the engine; None where steps are run here. Raises UsageError that names who said it."""
    named = os.environ.get("BUILDRULES_EXECUTOR")
    url = asked or named or settings.get("url")
    if url == LOCAL or not url:
        return None
    try:
        scheme_of(url)
    except UsageError as error:
        if named and not asked:
            error.message = f"BUILDRULES_EXECUTOR: {error.message}"
        raise
    return url


def opened(
    url: str, settings: Mapping[str, Any], cache: Mapping[str, Any], root: str, session: Session, stream: Stream
) -> tuple[Engine, Trust, str]:
    """An engine, what judges its answers, and the namespace that these are for. `settings` are the row of
    `workspace.executor`, `cache` those of the shared cache. Raises UsageError, CredentialsError."""
    given = {**settings, "cache": settings_of(cache), "root": root}
    trust = Trust("off") if settings.get("trusted") else open_trust(cache, root)
    if trust.policy == "require" and url.startswith("grpc"):  # grpcs as well
        raise UsageError(
            f"the workspace requires signatures, and workers of {redact(url)} hold no key",
            hint="say trusted: true in workspace.executor, if all who may use it may write your cache as well; "
            "--executor local runs all steps here",
        )
    engine = open_engine(url, session, given, lambda text: stream.emit(Notice(text, warning=True)))
    return engine, trust, namespace_of(cache)
