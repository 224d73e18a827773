"""What the keeper of a shared cache sees and does, and that builds are right whatever was removed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from buildrules.remote.envelope import Envelope
from tests.oci.registry.servers import registry
from tests.support.space import Space
from tests.support.team import CI, DEVELOPER, Team


def test_an_audit_says_who_wrote_what(filled: Team) -> None:
    reader = filled.machine("reader")
    said = reader.run("cache", "audit").out
    assert f"{CI.writer} in main: " in said and "model_package" not in said
    assert " files_layer/" in said and " 0 without a trusted signature" in said
    assert "//:code code code" in reader.run("cache", "audit", "--each").out
    (path, envelope) = next(filled.records())
    path.chmod(0o644)
    path.write_bytes(Envelope(envelope.key, "main", envelope.body).seal(DEVELOPER))
    worse = reader.run("cache", "audit", filled.url, "--each", code=1).out
    assert f"{DEVELOPER.writer} in main, of a foreign namespace: 1 records" in worse
    assert path.name[:12] in worse
    path.write_bytes(Envelope(envelope.key, "main", {"record": {"kind": "\x1b]0;owned\x07\nci in main"}}).seal(None))
    odd = reader.run("cache", "audit", filled.url, code=1).out
    assert "\x1b" not in odd and "(unsigned) in main, unsigned" in odd


def test_a_check_removes_what_is_wrong_and_all_else_is_still_taken(filled: Team) -> None:
    reader = filled.machine("reader")
    content = filled.pack()
    count, all_there = len(content), sum(path.is_file() for path in (filled.cache / "cas").rglob("*"))
    reader.run("cache", "verify", "--remote").said(f"{all_there} blobs checked, 0 corrupt; 0 records without")
    content[0].write_bytes(b"y" + content[0].read_bytes()[1:])
    content[1].unlink()
    said = reader.run("cache", "verify", "--remote", filled.url, code=1).out
    assert f"corrupt, removed: sha256:{content[0].name}" in said and "record without its content, removed" in said
    assert [path.exists() for path in content] == [False, False, *[True] * (count - 2)]
    reader.run("cache", "verify", "--remote").said(", 0 corrupt; 0 records without their content")
    filled.built(filled.machine("other"))


def test_what_expires_leaves_no_record_that_names_what_is_gone(filled: Team) -> None:
    reader = filled.machine("reader")
    filled.pack()
    files = [path for path in filled.cache.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (path.stat().st_mtime - 50 * 86400,) * 2)
    records = [path for path, _ in filled.records()]
    for path in records[::2]:
        os.utime(path)
    reader.run("cache", "gc", "--remote", "--dry-run").said("would remove ")
    assert all(path.exists() for path in files)
    reader.run("cache", "gc", "--remote").said("removed ", f"{len(records) // 2} records")
    assert [path for path, _ in filled.records()] == records[::2]
    reader.run("cache", "verify", "--remote").said(", 0 corrupt; 0 records without their content")
    filled.built(filled.machine("other"))
    reader.run("cache", "gc", "--remote", filled.url, "--keep", "0s").said("0 B are left")
    assert [path for path in filled.cache.rglob("*") if path.is_file()] == []
    assert filled.built(filled.machine("third")).executed > 0


def test_the_size_of_a_cache_has_marks_as_well(filled: Team) -> None:
    reader = filled.machine("reader")
    filled.pack()
    for path in filled.cache.rglob("*"):
        os.utime(path, (path.stat().st_mtime - 3 * 86400,) * 2)
    total = sum(path.stat().st_size for path in filled.cache.rglob("*") if path.is_file())
    reader.run("cache", "info", "--remote").said(f"cache      {filled.url}", "records    ", "content    ", "oldest of ")
    reader.run("cache", "gc", "--remote", "--high", "1GB").said("removed 0 blobs and 0 records")
    reader.run("cache", "gc", "--remote", "--high", f"{total // 2}B", "--low", f"{total // 2}B").said("removed ")
    left = sum(path.stat().st_size for path in filled.cache.rglob("*") if path.is_file())
    assert 0 < left <= total // 2
    reader.run("cache", "verify", "--remote").said(", 0 corrupt; 0 records without their content")
    filled.built(filled.machine("other"))


def test_a_cache_that_is_not_there_loses_nothing(filled: Team) -> None:
    reader = filled.machine("reader")
    gone = filled.cache.with_name("unmounted")
    filled.cache.rename(gone)
    for verb in (["gc", "--remote"], ["verify", "--remote"], ["audit"], ["info", "--remote"]):
        reader.run("cache", *verb, code=None).said("there is no folder")
    gone.rename(filled.cache)
    assert filled.built(filled.machine("other")).executed == 0


def test_every_verb_takes_the_address_in_both_ways(filled: Team) -> None:
    reader = filled.machine("reader")
    for verb in ("info", "audit", "verify", "gc"):
        said = [
            reader.run("cache", verb, *more, env={"BUILDRULES_CACHE": ""}).out
            for more in ([filled.url], ["--remote", filled.url])
        ]
        said.append(reader.run("cache", verb, "--remote").out)
        assert said == [said[0]] * 3 and said[0]


def test_another_folder_is_not_taken_for_an_empty_cache(filled: Team) -> None:
    reader = filled.machine("reader")
    above = f"file://{filled.cache.parent}"
    for verb in ("info", "verify", "gc", "audit"):
        reader.run("cache", verb, "--remote", above, code=1).said("it is no cache, for it has neither 'ac' nor 'cas'")
    filled.cache.joinpath("new").mkdir()
    reader.run("cache", "info", f"{filled.url}/new").said("records    0, 0 B")


@pytest.mark.network
def test_a_registry_that_has_images_too_is_found_whole(team: Team, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as host:
        team.url = f"oci://{host}/team/cache"
        writer, reader = team.writer("ci", CI), team.machine("reader")
        for space in (writer, reader):
            space.env["DOCKER_CONFIG"] = str(tmp_path)
        team.built(writer)
        before = reader.run("cache", "verify", "--remote").out
        assert re.fullmatch(r"[1-9]\d* blobs checked, 0 corrupt; 0 records without their content\n", before)
        reader.run("cache", "info", "--remote").said("content    3, ")
        writer.run("push", "//:app", "--to", f"{host}/team/cache", "--tag", "1")
        assert reader.run("cache", "verify", "--remote").out == before
        reader.run("cache", "info", "--remote").said("content    0, ", "is checked, and not listed")
        assert team.built(team.machine("other")).executed == 0


def test_without_a_cache_the_way_to_name_one_is_said(workspace: Space) -> None:
    workspace.run("cache", "audit", code=2).said("no shared cache is named here", "--remote URL")
    workspace.run("cache", "audit", "file:///a", "--remote", "file:///b", code=2).said("two caches are named")
    workspace.run("cache", "gc", "--dry-run", code=2).said("--dry-run goes with --remote")
    workspace.run("cache", "audit", "http://127.0.0.1:9/cache", code=1).said("cannot say what it has", "file:///path")


def test_builds_and_removals_at_the_same_time_harm_nobody(team: Team) -> None:
    """Everything counts as old, so that what one build was just told of is gone when it wants it."""
    words = ["gc", "--remote", team.url, "--keep", "0s"]
    program = (
        f"from buildrules.cli.commands import cache\nwhile True: cache.command.main({words!r}, standalone_mode=False)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    log = team.cache.with_name("removed.log")
    with log.open("wb") as out:
        remover = subprocess.Popen(
            [sys.executable, "-c", program], env=env, cwd=team.cache, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        for number in range(4):
            assert "Traceback" not in team.built(team.writer(f"ci {number}", CI)).err
            assert "Traceback" not in team.built(team.machine(f"reader {number}")).err
        assert remover.poll() is None, log.read_text()
    finally:
        remover.kill()
        remover.wait()
    said = log.read_text()
    assert "records" in said and "rror" not in said
    team.machine("keeper").run("cache", "verify", "--remote", code=None)
    assert team.machine("keeper 2").run("cache", "verify", "--remote").said(", 0 corrupt; 0 records without")
