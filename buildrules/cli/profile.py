"""`--profile`: a listener that writes the Trace Event Format, which chrome://tracing and Perfetto read.

Format: "Trace Event Format" of the Chromium project, complete events ("ph": "X"), times in microseconds.
"""

import json
from typing import Any

from buildrules.cli.writing import check_own, write_own
from buildrules.engine.events import ActionFinished, Event, Status

_MARK = '{"traceEvents": ['


class Profile:
    """Gathers one bar per action that did something; `write` puts them into the file `path`. Raises UsageError."""

    def __init__(self, path: str) -> None:
        check_own(path, _MARK)
        self._path = path
        self._events: list[dict[str, Any]] = []

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, ActionFinished) and event.status is not Status.SKIPPED:
            self._events.append(
                {
                    "name": event.action.title,
                    "cat": event.action.kind,
                    "ph": "X",
                    "pid": 1,
                    "tid": event.worker,
                    "ts": round(event.began * 1e6),
                    "dur": round(event.seconds * 1e6),
                    "args": {
                        "target": event.action.target,
                        "status": event.status.value,
                        "reasons": event.reasons[:20],
                        **({"placed": event.placed.row()} if event.placed is not None else {}),
                    },
                }
            )

    def write(self) -> None:
        """Write the profile. Raises UsageError."""
        write_own(self._path, json.dumps({"traceEvents": self._events, "displayTimeUnit": "ms"}), _MARK)
