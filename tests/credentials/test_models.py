"""A private model, laid in layers or fetched at start: the canary is the password, and found nowhere."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.credentials.test_canary import Watched
from tests.support.canary import Canary
from tests.support.feed import MoodyFeed
from tests.support.space import APP, Space

pytestmark = pytest.mark.slow

SOME = ("401", "500", "redirect", "elsewhere", "wrong")
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def watched(feed: MoodyFeed, tmp_path: Path, wheelhouse: Path, canary: Canary) -> Watched:
    (feed.folder / "files/model.bin").write_bytes(os.urandom(300_000))
    space = Space(tmp_path / "space", wheelhouse).populate()
    target = feed.url.removesuffix("/simple")
    connection = f"    store: {{type: http, target: '{target}', credentials: {{pat: {{env: FEED_TOKEN}}}}}}\n"
    space.edit("BUILD.yaml", "  platforms", f"  connections:\n{connection}  platforms")
    space.edit("BUILD.yaml", "path: weights", f"uri: '{target}/files/model.bin'")
    return Watched(space, canary)


def test_a_private_model_in_layers(watched: Watched, feed: MoodyFeed) -> None:
    with watched.lines:
        watched.run("lock")
        watched.run("build", APP, "-v", "--profile", str(watched.space.folder / "trace"))
        watched.run("export", APP, "-o", str(watched.space.folder / "layout"))
        watched.run("show", APP)
        watched.run("show", APP, "--json")
        for mood in SOME:
            feed.mood = mood
            store = str(watched.space.folder / f"store-{mood}")
            result = watched.run("build", APP, code=None, BUILDRULES_CACHE_DIR=store)
            assert result.code, f"{mood}: {result.out}"
            if mood in ("401", "403"):
                result.said("connection 'store'", "FEED_TOKEN")
    watched.check()
    assert not [path for path, _ in feed.stolen if path == "/gone"], "a login went to another origin"


def _start_json(space: Space) -> dict[str, object]:
    for path in space.blobs().values():
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        if b"opt/buildrules/start.json" in data:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                file = archive.extractfile("opt/buildrules/start.json")
                assert file
                return dict(json.loads(file.read()))
    raise AssertionError("no layer has start.json")


def test_a_private_model_fetched_at_start(watched: Watched, feed: MoodyFeed, canary: Canary) -> None:
    space = watched.space
    space.edit("BUILD.yaml", "    code: :code", "    code: :code\n    mode: download")
    with watched.lines:
        watched.run("build", APP, "-v")
        watched.run("export", APP, "-o", str(space.folder / "layout"))
    start = _start_json(space)
    text = json.dumps(start)
    assert "FEED_TOKEN" in text
    for mood in ("fine", *SOME):
        feed.mood = mood
        folder = space.folder / f"container-{mood}"
        folder.mkdir()
        for entry in start["downloads"]:  # type: ignore[attr-defined]
            entry["directory"] = str(folder / "model")
        (folder / "start.json").write_text(json.dumps(start))
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "BUILDRULES_START": str(folder / "start.json"),
        }
        command = [sys.executable, "-m", "buildrules.start"]
        env |= {"FEED_TOKEN": canary.text, "HOME": str(folder)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
        watched.said += done.stdout + done.stderr
        assert (done.returncode == 0) is (mood == "fine"), done.stderr
        if mood in ("401", "403"):
            assert "FEED_TOKEN" in done.stderr
    watched.check()
    assert not [path for path, _ in feed.stolen if path == "/gone"], "a login went to another origin"
