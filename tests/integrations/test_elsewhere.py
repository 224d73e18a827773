"""The scripts of the page for Jenkins, Azure Pipelines and Buildkite, by the real bash."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.integrations.test_linted import PAGE, snippet
from tests.support.repository import Repository
from tests.support.space import APP, Space


def test_the_scripts_of_the_page_run(built: Space) -> None:
    """What they ask for goes to jobs as the platform takes it, and a job builds it."""
    shims = built.folder / "shims"
    shims.mkdir()
    (shims / "buildkite-agent").write_text('#!/bin/sh\ncat > "$UPLOADED"\n')
    (shims / "buildkite-agent").chmod(0o755)
    for text in re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        (name,) = re.findall(r"^# (ci/\w+\.sh):", text, re.M)
        built.write(name, text)
    local = Repository(built.root)
    local.commit()
    local.git("remote", "add", "origin", f"file://{built.root}")
    local.git("fetch", "-q", "origin")
    local.git("checkout", "-q", "-b", "change")
    built.append("src/score.py", "# more\n")
    local.commit()

    def bash(script: str, **variables: str) -> str:
        path = os.pathsep.join((str(shims), str(Path(sys.executable).parent), built.env["PATH"]))
        env = {**built.env, **variables, "PATH": path, "UPLOADED": str(built.folder / "uploaded")}
        done = subprocess.run(
            ["bash", "-c", script], cwd=built.root, env=env, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    bash("bash ci/upload.sh", BUILDKITE_PULL_REQUEST_BASE_BRANCH="main")
    (step,) = json.loads((built.folder / "uploaded").read_text())["steps"]
    assert step["env"] == {"LABELS": APP, "TESTS": ""}
    azure: dict[str, Any] = yaml.safe_load(snippet("azure-pipelines.yml"))
    (ask,) = (step for job in azure["jobs"] for step in job["steps"] if step.get("name") == "ask")
    told = json.loads(bash(ask["bash"], TARGET="main").partition("]")[2])
    assert told == {"1_of_4": {"labels": APP, "tests": ""}}
    assert "2 built, 6 reused" in bash(step["command"], **step["env"])
