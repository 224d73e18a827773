"""Many builds in one process, by the JSON protocol of Bazel's persistent workers.

Format: https://bazel.build/remote/creating, JSON on a line: a request {"arguments", "inputs", "requestId", "cancel"},
an answer {"exitCode", "output", "requestId", "wasCancelled"}. `@FILE` among the arguments is a file with one a line.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TextIO

from buildrules.errors import UsageError
from buildrules.guest.build import Room

Perform = Callable[[object, Room], tuple[int, str]]
"""Does what the arguments ask for in the room; the exit code, and what there is to say."""

_CANCELLED = {"exitCode": 0, "output": "", "wasCancelled": True}


def arguments_of(words: object, within: Sequence[str] = ()) -> list[str]:
    """The arguments with those of `@FILE` in its place; `@@` stands for one sign. Raises UsageError, OSError."""
    if not isinstance(words, list):
        raise UsageError(f"the arguments must be a list, not {words!r}")
    found: list[str] = []
    for word in words:
        try:
            if b"\0" in os.fsencode(word):
                raise ValueError
        except (TypeError, ValueError):
            raise UsageError(f"{word!r} cannot be an argument") from None
        if word in within or len(within) > 99:
            raise UsageError(f"'{word}' is read within itself, or too deep")
        if word.startswith("@@"):
            found.append(word[1:])
        elif word.startswith("@"):
            try:
                with open(word[1:], encoding="utf-8") as file:
                    lines = file.read().splitlines()
            except UnicodeDecodeError:
                raise UsageError(f"'{word[1:]}' is not UTF-8") from None
            found += arguments_of(lines, [*within, word])
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
        self._unheard = ""

    def serve(self, requests: TextIO) -> None:
        """Answer until the requests end. Raises UsageError, when those before are answered, for a line that is none."""
        threading.Thread(target=self._listen, args=(requests,), daemon=True).start()
        while (request := self._waiting.get()) is not None:
            number = _number(request)
            with self._lock:
                self._at_work = number
                dropped = number in self._cancelled
            answer = _CANCELLED if dropped else self._answer(request)
            with self._lock:
                self._at_work = None
                if number in self._cancelled:
                    self._cancelled.discard(number)
                    answer = _CANCELLED
            self._answers.write(json.dumps({**answer, "requestId": number or 0}) + "\n")
            self._answers.flush()
        if self._unheard:
            raise UsageError(self._unheard)

    def _listen(self, requests: TextIO) -> None:
        try:
            for line in requests:
                if line.strip():
                    request = json.loads(line)
                    if not isinstance(request, dict):
                        raise ValueError("it is no object")
                    if request.get("cancel"):
                        self._cancel(_number(request))
                    else:
                        self._waiting.put(request)
        except (ValueError, RecursionError, OSError) as error:  # who speaks another language is not understood later
            self._unheard = f"a line of standard input is no request: {error}"
        finally:
            self._waiting.put(None)

    def _cancel(self, number: int | None) -> None:
        if number is None:
            sys.stderr.write("a request to cancel has no sound requestId\n")
            return
        with self._lock:
            self._cancelled.add(number)
            if self._at_work == number and (stop := self._room.stop) is not None:
                stop()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if _number(request) is None:
            return {"exitCode": 2, "output": f"error: requestId must be a number, not {request['requestId']!r}\n"}
        code, output = self._perform(request.get("arguments") or [], self._room)
        return {"exitCode": code, "output": output}


def _number(request: dict[str, Any]) -> int | None:
    """Which request it is; None where that makes no sense."""
    number = request.get("requestId")
    return 0 if number is None else number if isinstance(number, int) else None
