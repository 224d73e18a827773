"""What a host does: asks for inputs, stages them as links, calls the guest."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.space import APP, Result, Space


class Host:
    """A build system around a workspace, with folders of its own beside it; content comes from the wheelhouse."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.folder = space.folder / "host"
        self.folder.mkdir(exist_ok=True)

    def target(self, label: str = APP, *options: str) -> dict[str, Any]:
        """What `guest inputs` says of a target."""
        said = json.loads(self.space.run("guest", "inputs", label, "--root", ".", *options).out)
        assert said["version"] == 1
        (found,) = said["targets"]
        return dict(found)

    def content(self, rows: Iterable[dict[str, Any]]) -> list[str]:
        """The lines of content, as the host has it."""
        return [f"sha256:{row['sha256']}  {self.space.wheels / row['name']}" for row in rows]

    def lines(self, label: str = APP, *options: str) -> list[str]:
        """A line for each input of a target."""
        found = self.target(label, *options)
        return [*found["files"], *(f"{path}/" for path in found["folders"]), *self.content(found["content"])]

    def staged(self, lines: Iterable[str], name: str = "sandbox") -> Path:
        """The declared files as absolute links below a folder of their own, by way of a second tree of links."""
        for top, source in ((f"{name}-exec", self.space.root), (name, self.folder / f"{name}-exec")):
            for line in lines:
                if not line.startswith("sha256:") and not line.endswith("/"):
                    place = self.folder / top / line
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.symlink_to(source / line)
        return self.folder / name

    def arguments(
        self, root: Path, lines: Iterable[str], *options: str, label: str = APP, out: str = "out"
    ) -> list[str]:
        """Those of `guest build`."""
        inputs = self.folder / f"{out.replace('/', '-')}.inputs"
        inputs.write_text("".join(f"{line}\n" for line in lines))
        return [label, "--root", str(root), "--inputs", str(inputs), "--out", str(self.folder / out), *options]

    def build(self, root: Path, lines: Iterable[str], *options: str, code: int | None = 0, **named: Any) -> Result:
        """Build in a process with no environment at all, and no store."""
        words = self.bare(self.arguments(root, lines, *options, **named))
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)
        assert code is None or done.returncode == code, (
            f"exit code {done.returncode}, not {code}:\n{done.stdout}{done.stderr}"
        )
        return Result(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def bare(arguments: list[str]) -> list[str]:
        """A process with no environment at all that builds with these arguments."""
        return ["env", "-i", sys.executable, "-I", "-c", BARE, "guest", "build", *arguments]

    def digest(self, out: str = "out") -> str:
        """The digest that was written."""
        return (self.folder / out / "digest").read_text().strip()


MODULE = (sys.executable, "-m", "buildrules", "guest", "worker")


class Worker:
    """A worker, and the conversation with it."""

    def __init__(self, space: Space, *prefix: str, command: Iterable[str] = MODULE, folder: Path | None = None) -> None:
        environment = {**space.env, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(space.folder)}
        self._process = subprocess.Popen(
            [*prefix, *command, "--persistent_worker"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
        )

    def write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def terminate(self) -> None:
        self._process.terminate()

    def send(self, **request: Any) -> None:
        self.write(json.dumps(request).encode())

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def build(self, words: list[str], code: int = 0) -> str:
        """Build; what was said."""
        self.send(arguments=words, inputs=[], requestId=7)
        answer = self.answer()
        assert (answer["exitCode"], answer["requestId"]) == (code, 7), answer["output"]
        return str(answer["output"])

    def end(self) -> int:
        """Its exit code, at the end of the requests; what it says then is in `said`."""
        self.said = self._process.communicate(timeout=60)[1].decode()
        return self._process.returncode


BARE = f"""
import sys
sys.path.insert(0, {os.fspath(Path(__file__).parents[2])!r})
from buildrules.__main__ import main
sys.exit(main())
"""
