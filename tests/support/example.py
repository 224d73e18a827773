"""A copy of real examples, built from the package registries with a store of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


class Example:
    """`source` (a folder of the repository) copied to `root`; commands run there."""

    def __init__(self, source: str, root: Path, store: Path) -> None:
        self.root = root
        shutil.copytree(REPOSITORY / source, root, ignore=shutil.ignore_patterns("__pycache__"))
        self.env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BUILDRULES_CACHE_DIR": str(store)}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "buildrules", *args]

    def run(self, *args: str) -> str:
        done = subprocess.run(
            self.command(*args), cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, *args: str, sample: str = "sample-request.json") -> Any:
        """`run` a package, send the file `sample` to its scoring route, stop it; returns the answer."""
        process = subprocess.Popen(
            self.command("run", *args),
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        url = None
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"scoring +(http://\S+)", line)
                url = found[1] if found else url
                if "following its log" in line:
                    break
            if url is None:
                pytest.fail(f"{args} did not start: {process.communicate()}")
            body = (self.root / sample).read_bytes()
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
