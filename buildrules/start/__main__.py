"""Fetches what start.json lists, then becomes the server: `python /opt/buildrules -- SERVER [ARGUMENT...]`.

    {"version": 1, "downloads": [{"name": "regressor", "kind": "model", "directory": "/var/model", "source": {...},
      "files": [{"path", "size", "sha256", "key", "archive"}], "archives": [{"path", "size", "sha256"}]}]}

A file that is there with the right digest is left alone, so a restart, or a volume that has the model already, fetches
nothing. Without a server it only fetches, as an init container would.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from .fetcher import Fetcher, Trouble, positive
from .secret import hide

PARALLEL = 8


def main(arguments: list[str] | None = None) -> int:
    """Fetch and become the server. Gives an exit code where it cannot: 1, 126 and 127 as shells do, 128 + a signal."""
    command = list(sys.argv[1:] if arguments is None else arguments)
    if command[:1] == ["--"]:
        del command[:1]
    stop = threading.Event()
    caught: list[int] = []

    def catch(number: int, _: Any) -> None:
        caught.append(number)
        stop.set()

    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, catch) for number in signals}
    try:
        Fetcher(_downloads(), os.environ, stop, positive(os.environ, "BUILDRULES_FETCH_PARALLEL", PARALLEL), _say).run()
    except Trouble as trouble:
        if caught:
            _say(f"stopped by signal {caught[0]}; what has arrived is kept")
            return 128 + caught[0]
        _say(f"error: {trouble.text}")
        if trouble.hint:
            _say(f"help: {trouble.hint}")
        return 1
    finally:
        for number in signals:
            signal.signal(number, before[number])
    if caught:
        return 128 + caught[0]
    return _become(command) if command else 0


def _downloads() -> list[dict[str, Any]]:
    path = os.environ.get("BUILDRULES_START") or os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "start.json"
    )
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        if data["version"] != 1:
            raise ValueError(f"it has version {data['version']!r}")
        found: list[dict[str, Any]] = data["downloads"]
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Trouble(f"{path!r} cannot be read: {error}", "build the image again") from None


def _become(command: list[str]) -> int:
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the image's own server is what this is for
    except OSError as error:
        _say(f"error: the server {command[0]!r} cannot be started: {(error.strerror or str(error)).lower()}")
        return 127 if isinstance(error, FileNotFoundError) else 126


def _say(text: str) -> None:
    print(f"buildrules: {hide(text)}", file=sys.stderr, flush=True)  # noqa: T201 - a container's log


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads that wait for a silent server must not hold the container
