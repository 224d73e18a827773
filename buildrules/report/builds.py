"""The last builds of a workspace, as the store keeps their events (docs/reference/events.md)."""

import json
import os
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from buildrules.sha256 import hex_digest
from buildrules.state.rows import open_regular

_SCHEMA = 1  # of events


class Told(NamedTuple):
    """What a build told: the first row, the rows of its steps, and whatever else it had to say, by event."""

    begin: dict[str, Any]
    steps: list[dict[str, Any]]
    others: dict[str, list[dict[str, Any]]]

    @property
    def end(self) -> dict[str, Any]:
        """The last row; empty where the build was killed."""
        return (self.others.get("build_finished") or [{}])[-1]


class LastBuilds:
    """The newest build that did something, the newest with tests, and the newest push; None where there is none.

    `results` are the newest row of each test, with the `time` of its build.
    """

    def __init__(self, store: str, root: str, configurations: Collection[str] = ()) -> None:
        """`store` is the store's folder, `root` that of the workspace; of builds with these configurations."""
        self.build: Told | None = None
        self.tests: Told | None = None
        self.push: Told | None = None
        results: dict[tuple[str, str], dict[str, Any]] = {}
        for text in _texts(os.path.join(store, "logs"), root, set(configurations)):
            tested = '{"event":"test_finished"' in text
            pushed = self.push is None and '{"event":"pushed"' in text
            if self.build is not None and not tested and not pushed:
                continue
            told = _read(text)
            if self.build is None and (told.steps or "error" in told.end):
                self.build = told
            if "test_finished" in told.others and self.tests is None:
                self.tests = told
            for row in told.others.get("test_finished", ()):
                results.setdefault((row["label"], row["platform"]), {**row, "time": told.begin.get("time")})
            if pushed and "pushed" in told.others:
                self.push = told
        self.results = list(results.values())


def last_placed(store: str, root: str, configurations: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Where steps ran last, by their names: those that are known to have run when there were other machines."""
    texts = list(_texts(os.path.join(store, "logs"), root, set(configurations)))
    found: dict[str, dict[str, Any]] = {}
    for text in texts if any('"placed":' in text for text in texts) else ():
        for row in _read(text).steps:
            if row["status"] == "executed":
                found.setdefault(row["step"], row.get("placed") or {})
    return {step: row for step, row in found.items() if row}


def _texts(folder: str, root: str, configurations: set[str]) -> Iterator[str]:
    """What the builds of the workspace told, the newest first."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.endswith(".jsonl")]
        found.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    except OSError:
        return
    for entry in found:
        try:
            with open(open_regular(entry.path), encoding="utf-8") as file:
                first = file.readline()
                begin = _row(first)
                same = begin.get("workspace") == root and set(begin.get("configurations", ())) == configurations
                if same and begin.get("schema") == _SCHEMA:
                    yield first + file.read()
        except (OSError, ValueError):  # removed meanwhile, or damaged
            continue


def _row(line: str) -> dict[str, Any]:
    """A row that was kept, with the digest that stands before it. Raises ValueError where it was damaged."""
    digest, _, text = line.rstrip("\n").partition(" ")
    if hex_digest(text.encode())[:16] != digest:
        raise ValueError("it is not what was written")
    row: dict[str, Any] = json.loads(text)
    return row


def _read(text: str) -> Told:
    told = Told({}, [], {})
    for line in text.split("\n"):
        try:
            row = _row(line)
        except ValueError:
            continue
        name = row.pop("event")
        if name == "build_started":
            told.begin.update(row)
        elif name == "step_finished":
            told.steps.append(row)
        else:
            told.others.setdefault(name, []).append(row)
    return told
