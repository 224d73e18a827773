"""Many builds in one process, by the JSON protocol of Bazel's persistent workers.

Format: https://bazel.build/remote/creating, JSON on a line: a request {"arguments", "inputs", "requestId", "cancel"},
an answer {"exitCode", "output", "requestId", "wasCancelled"}. `@FILE` among the arguments is a file with one a line.
"""

import json
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TextIO

from buildrules.guest.build import Room

Perform = Callable[[Sequence[str], Room], tuple[int, str]]
"""Does what the arguments ask for in the room; the exit code, and what there is to say."""

_CANCELLED = {"exitCode": 0, "output": "", "wasCancelled": True}


def arguments_of(words: Sequence[str]) -> list[str]:
    """The arguments with those of `@FILE` in its place; `@@` stands for one sign. Raises OSError."""
    found: list[str] = []
    for word in words:
        if word.startswith("@@"):
            found.append(word[1:])
        elif word.startswith("@"):
            with open(word[1:], encoding="utf-8") as file:
                found += arguments_of(file.read().splitlines())
        else:
            found.append(word)
    return found


class Worker:
    """Answers requests one after the other. What it keeps between them is in its room."""

    def __init__(self, room: Room, perform: Perform, answers: TextIO) -> None:
        self._room = room
        self._perform = perform
        self._answers = answers
        self._waiting: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._cancelled: set[int] = set()
        self._at_work: int | None = None
        self._lock = threading.Lock()

    def serve(self, requests: TextIO) -> None:
        """Answer until the requests end."""
        threading.Thread(target=self._listen, args=(requests,), daemon=True).start()
        while (request := self._waiting.get()) is not None:
            number = int(request.get("requestId") or 0)
            with self._lock:
                self._at_work = number
                dropped = number in self._cancelled
            answer = _CANCELLED if dropped else self._answer(request)
            with self._lock:
                self._at_work = None
                if number in self._cancelled:
                    self._cancelled.discard(number)
                    answer = _CANCELLED
            self._answers.write(json.dumps({**answer, "requestId": number}) + "\n")
            self._answers.flush()

    def _listen(self, requests: TextIO) -> None:
        for line in requests:
            if line.strip():
                try:
                    request = json.loads(line)
                    if not isinstance(request, dict):
                        break
                except ValueError:
                    break  # whoever speaks another language is not understood later either
                if request.get("cancel"):
                    self._cancel(int(request.get("requestId") or 0))
                else:
                    self._waiting.put(request)
        self._waiting.put(None)

    def _cancel(self, number: int) -> None:
        with self._lock:
            self._cancelled.add(number)
            if self._at_work == number and (stop := self._room.stop) is not None:
                stop()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        code, output = self._perform([str(word) for word in request.get("arguments") or ()], self._room)
        return {"exitCode": code, "output": output}
