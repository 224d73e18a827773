"""Git repositories in folders of tests."""

import os
import subprocess
from pathlib import Path

_OPTIONS = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
_ENV = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


class Repository:
    """The repository at `root`, which is made where there is none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if not (root / ".git").exists():
            self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        """What git says."""
        done = subprocess.run(
            ["git", *_OPTIONS, *words], cwd=self.root, env={**os.environ, **_ENV}, check=True, capture_output=True
        )
        return os.fsdecode(done.stdout).strip()

    def commit(self, message: str = "more") -> str:
        """Commit all that is there; returns the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")
