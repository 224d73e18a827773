"""Tools of others that read what we write."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest


@pytest.fixture
def tool() -> Callable[..., str]:
    """Run a tool and give its output; where it is not installed the test is skipped, but not in CI."""

    def run(name: str, *args: str) -> str:
        if shutil.which(name) is None and not os.environ.get("CI"):
            pytest.skip(f"{name} is not installed")
        flags = ["--insecure-policy"] if name == "skopeo" else []
        done = subprocess.run([name, *flags, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
