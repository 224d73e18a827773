"""One cache for a team: what one machine built, another one does not build, move or upload again."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from buildrules.remote.backend import LARGEST_RECORD
from buildrules.remote.keys import PrivateKey
from tests.oci.registry.servers import registry
from tests.support.cache_server import PASSWORD, WRITER, CacheServer, cache_server
from tests.support.casd import casd_server
from tests.support.faulty import Faulty
from tests.support.local import Local, Plain
from tests.support.space import APP, Report, Space

CASES = int(os.environ.get("BUILDRULES_TEST_CASES", "6"))
LARGE = "x" * 40_000


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A shared folder."""
    place = tmp_path / "cache"
    place.mkdir()
    return place


@pytest.fixture
def team(workspace: Space, cache: Path) -> Space:
    """The machine that fills the cache. The image has a config that is too large to travel with its record."""
    workspace.edit("BUILD.yaml", "    code: :code\n", f"    code: :code\n    labels: {{large: {LARGE}}}\n")
    return sharing(workspace, cache)


def sharing(space: Space, cache: Path, upload: str = "always") -> Space:
    space.env |= {"BUILDRULES_CACHE": f"file://{cache}", "BUILDRULES_CACHE_UPLOAD": upload}
    return space


def other_machine(space: Space, folder: Path, cache: Path, upload: str = "never") -> Space:
    """The same workspace in another directory, with an empty store."""
    other = Space(folder, space.wheels)
    shutil.copytree(space.root, other.root)
    return sharing(other, cache, upload)


def files(cache: Path, kind: str) -> list[Path]:
    """The records ("ac") or the content ("cas") that are kept, in an order of their own."""
    return sorted(path for path in (cache / kind).rglob("*") if path.is_file())


def overwrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def test_what_one_machine_built_another_one_takes(team: Space, tmp_path: Path, cache: Path) -> None:
    first = team.build()
    assert first.executed > 0 and first.data["cache"]["sent"] > 0
    other = other_machine(team, tmp_path / "else" / "where", cache)
    before = os.umask(0o077)
    try:
        second = other.build()
    finally:
        os.umask(before)
    assert second.executed == 0
    assert second.digest == first.digest
    assert set(second.data["bytes"]["moved"]) <= {"cache"}
    assert second.data["bytes"]["moved"]["cache"] < len(LARGE), "content was moved that nobody read"
    large = next(path.name for path in files(cache, "cas") if path.stat().st_size > len(LARGE))
    assert f"sha256:{large}" not in other.blobs()
    exported = other.run("export", APP, "-o", str(other.folder / "layout"))
    assert re.search(r"^\S+ kB fetched \(\S+ kB cache.*\) meanwhile$", exported.err, re.MULTILINE)
    assert f"sha256:{large}" in other.blobs()
    assert "fetched" not in other.run("export", APP, "-o", str(other.folder / "again")).err
    other.sound()


def test_a_later_command_finds_what_is_only_elsewhere(team: Space, tmp_path: Path, cache: Path) -> None:
    first = team.build()
    other = other_machine(team, tmp_path / "other", cache)
    other.settle()
    assert other.run("build", APP).out.count("unchanged") == 1
    other.append("src/score.py", "# edited\n")
    edited = other.build()
    assert edited.executed > 0 and edited.digest != first.digest
    other.run("export", APP, "-o", str(other.folder / "layout"))
    assert edited.digest == other.clean_build(options=["--no-remote"]).digest


def test_content_that_is_lost_between_look_up_and_use_is_made_anew(team: Space, tmp_path: Path, cache: Path) -> None:
    first = team.build()
    for number, harm in enumerate((Path.unlink, lambda path: overwrite(path, b"y" * path.stat().st_size))):
        other = other_machine(team, tmp_path / f"other{number}", cache)
        assert other.build().executed == 0
        for path in files(cache, "cas"):
            harm(path)
        said = other.run("export", APP, "-o", str(other.folder / "layout"))
        assert number == 0 or "the cache has lost content; it is made or fetched anew" in said.err
        assert other.build().digest == first.digest
        other.sound()
        shutil.rmtree(team.store)
        team.build()  # fills the cache again


def test_content_of_a_pack_that_is_lost_is_made_anew(
    team: Space, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildrules.cli.sharing.MANY", 1)
    first = team.build()
    for path in files(cache, "cas"):
        path.unlink()
    other = other_machine(team, tmp_path / "other", cache)
    told = other.run("export", APP, "-o", str(other.folder / "layout"))
    assert told.err.count("the cache has lost content; it is made or fetched anew") >= 1
    assert other.build().digest == first.digest
    other.sound()


def test_a_writer_repairs_what_a_cache_has_lost(team: Space, tmp_path: Path, cache: Path) -> None:
    team.build()
    there = files(cache, "cas")
    for path in there:
        path.unlink()
    other = other_machine(team, tmp_path / "other", cache, upload="always")
    assert other.build().executed > 0
    assert files(cache, "cas") == there
    third = other_machine(team, tmp_path / "third", cache)
    assert third.build().executed == 0


@pytest.mark.parametrize(
    ("upload", "ci", "writes"),
    [("never", "true", False), ("ci", "", False), ("ci", "false", False), ("ci", "true", True), ("always", "", True)],
)
def test_who_writes(team: Space, cache: Path, upload: str, ci: str, writes: bool) -> None:
    team.build(env={"BUILDRULES_CACHE_UPLOAD": upload, "CI": ci})
    assert bool(files(cache, "ac")) == writes


def test_settings_of_the_workspace_name_the_cache(workspace: Space, tmp_path: Path, cache: Path) -> None:
    lines = f"cache: {{remote: 'file://{cache}', upload: always}}\n  platforms"
    workspace.edit("BUILD.yaml", "platforms", lines)
    workspace.build()
    assert files(cache, "ac")
    other = Space(tmp_path / "other", workspace.wheels)
    shutil.copytree(workspace.root, other.root)
    assert other.clean_build().executed == 0
    assert other.clean_build(options=["--no-remote"]).executed > 0
    assert other.build(env={"BUILDRULES_CACHE": ""}).executed > 0
    other.run("build", APP, env={"BUILDRULES_CACHE_UPLOAD": "maybe"}, code=2).said("BUILDRULES_CACHE_UPLOAD is 'maybe'")


def test_an_unknown_or_absent_cache_costs_a_warning(workspace: Space, tmp_path: Path) -> None:
    told = workspace.run("build", APP, env={"BUILDRULES_CACHE": "gopher://cache.example"})
    told.said("warning: 'gopher://cache.example' is not the address of a cache")
    other = Space(tmp_path / "other", workspace.wheels)
    shutil.copytree(workspace.root, other.root)
    other.run("build", APP, env={"BUILDRULES_CACHE": "http://127.0.0.1:9", "BUILDRULES_CACHE_UPLOAD": "always"})


def test_a_cache_that_is_down_is_told_of_a_small_build_too(workspace: Space) -> None:
    env = {"BUILDRULES_CACHE": "http://127.0.0.1:9", "BUILDRULES_CACHE_UPLOAD": "never"}
    workspace.build()
    workspace.append("src/score.py", "# edited\n")
    told = workspace.run("build", APP, env=env)
    assert told.err.count("warning: cache http://127.0.0.1:9 ") == 1


@pytest.mark.parametrize(("scheme", "module"), [("http", "http"), ("oci", "registry")])
def test_a_cache_that_never_answers_costs_one_wait(
    workspace: Space, monkeypatch: pytest.MonkeyPatch, scheme: str, module: str
) -> None:
    monkeypatch.setattr(f"buildrules.remote.{module}.SHORT", 0.5)
    monkeypatch.setattr("buildrules.remote.guarded.SILENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/team/cache"
        told = workspace.run("build", APP, env={"BUILDRULES_CACHE": url, "BUILDRULES_CACHE_UPLOAD": "always"})
        told.said("fails and is left alone for reading")
        server.settimeout(0.2)
        asked = []
        with contextlib.suppress(TimeoutError):
            while True:
                with server.accept()[0] as connection:
                    asked.append(connection.recv(4))
    assert asked and set(asked) == {b"GET "}, "it was written to"
    assert len(asked) <= 8, "at most those that were under way together"


def test_a_nearer_cache_is_filled_from_a_farther_one(team: Space, tmp_path: Path, cache: Path) -> None:
    team.build()
    near = tmp_path / "near"
    near.mkdir()
    tiers = f"file://{near},file://{cache}"
    other = other_machine(team, tmp_path / "other", cache)
    assert other.build(env={"BUILDRULES_CACHE": tiers, "BUILDRULES_CACHE_UPLOAD": "always"}).executed == 0
    shutil.rmtree(cache)
    third = other_machine(team, tmp_path / "third", near)
    assert third.build().executed == 0
    third.run("export", APP, "-o", str(third.folder / "layout"))


def test_what_was_not_built_is_not_sent_again(team: Space, cache: Path) -> None:
    team.build()
    kept = files(cache, "ac")
    assert team.build().executed == 0
    assert files(cache, "ac") == kept, "nothing was built, and something was sent"


def test_what_could_not_be_sent_is_sent_by_the_next_command(workspace: Space, tmp_path: Path) -> None:
    with cache_server(tmp_path / "server") as server:
        env = {"BUILDRULES_CACHE": f"http://{WRITER}:wrong@{server.host}", "BUILDRULES_CACHE_UPLOAD": "always"}
        first = workspace.build(env=env)
        assert first.data["cache"]["sent"] == first.data["cache"]["bytes_out"] == 0
        env["BUILDRULES_CACHE"] = f"http://{WRITER}:{quote(PASSWORD)}@{server.host}"
        second = workspace.build(env=env)
        assert second.executed == 0 and second.data["cache"]["sent"] > 0
        other = other_machine(workspace, tmp_path / "other", tmp_path)
        other.env |= {"BUILDRULES_CACHE": f"http://{server.host}"}
        assert other.build().executed == 0
        workspace.run("build", APP, "--verbose", env=env)  # another command line
        assert workspace.build(options=["--verbose"], env=env).data["cache"]["requests"] == 0, "noted as sent"


def test_a_cache_that_is_new_gets_what_the_store_has(workspace: Space, tmp_path: Path, cache: Path) -> None:
    workspace.build()
    sharing(workspace, cache)
    assert workspace.build(options=["--verbose"]).executed == 0
    assert other_machine(workspace, tmp_path / "other", cache).build().executed == 0


def test_what_is_in_use_does_not_expire(team: Space, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team.build()
    kept = files(cache, "ac")
    for path in kept:
        os.utime(path, (1, 1))
    team.build(options=["--verbose"])
    assert not any(path.stat().st_mtime > 1 for path in kept), "it was sent a moment ago"
    monkeypatch.setattr("buildrules.remote.expiry.RECORDS", 0)
    team.build(options=["--verbose", "--jobs", "2"])
    fresh = [path for path in kept if path.stat().st_mtime > 1]
    assert 2 * len(fresh) == len(kept), "a record of each step, and not what it is compared with"
    assert files(cache, "ac") == kept


def test_a_layer_whose_source_is_gone_comes_from_the_cache(team: Space, tmp_path: Path, cache: Path) -> None:
    team.build()
    team.run("export", APP, "-o", str(tmp_path / "layout"))
    other = other_machine(team, tmp_path / "other", cache)
    (tmp_path / "none").mkdir()
    other.env["UV_FIND_LINKS"] = str(tmp_path / "none")
    assert other.build().executed == 0
    export = ("export", APP, "-o", str(other.folder / "layout"))
    other.run(*export, code=4).said("no package index has the locked")
    for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir():  # as in a registry that is the cache as well
        place = cache / "cas" / "sha256" / path.name[:2] / path.name
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, place)
    other.run(*export)
    other.sound()


def harms(rng: random.Random, cache: Path) -> Iterator[str]:
    """Do something to a cache that a cache should not do, several times; says what."""
    for _ in range(rng.randrange(1, 12)):
        kind = rng.choice(["ac", "cas"])
        found = files(cache, kind)
        if not found:
            continue
        path, other = rng.choice(found), rng.choice(found)
        data = path.read_bytes()
        harm = rng.choice(
            ["lose", "flip", "cut", "swap", "grow", "empty", "dots", "junk", "digit", "digit", "digit", "all"]
        )
        if harm == "lose":
            path.unlink()
        elif harm == "flip" and data:
            at = rng.randrange(len(data))
            overwrite(path, data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        elif harm == "cut":
            overwrite(path, data[: rng.randrange(len(data) + 1)])
        elif harm == "swap":
            overwrite(path, other.read_bytes())
        elif harm == "grow":
            overwrite(path, data + b" " * LARGEST_RECORD)
        elif harm == "empty":
            overwrite(path, b"")
        elif harm == "dots":
            overwrite(path, data.replace(b"srv/app", b"../../x").replace(b"srv/model", b"/etc/pass"))
        elif harm == "digit" and (digests := list(re.finditer(rb"[0-9a-f]{64}", data))):
            at = rng.choice(digests).start() + rng.randrange(64)
            overwrite(path, data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])
        elif harm == "junk":
            overwrite(path, rng.randbytes(len(data)))
        else:
            for each in found:
                each.unlink()
        yield f"{harm} {path.name[:8]}"


@pytest.mark.parametrize("seed", range(CASES))
def test_every_build_ends_with_the_digests_of_a_clean_one(
    seed: int, team: Space, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the disk of the cache does to what is kept there. Who may write there can forge: see test_trust.py."""
    rng = random.Random(seed)
    if seed % 2:
        monkeypatch.setattr("buildrules.cli.sharing.MANY", 1)
    first = team.build()
    other = other_machine(team, tmp_path / "other", cache, upload=rng.choice(["never", "always"]))
    done = list(harms(rng, cache))
    second = other.build()
    assert second.digest == first.digest, done
    done += harms(rng, cache)
    other.run("export", APP, "-o", str(other.folder / "layout"))
    other.sound()
    assert other.build().digest == first.digest, done
    assert isinstance(second, Report)


def test_what_others_made_is_said_to_come_from_the_cache(team: Space, tmp_path: Path, cache: Path) -> None:
    team.build()
    other = other_machine(team, tmp_path / "other", cache)
    other.run("why", APP).said("code code: would be taken from the cache")
    third = other_machine(team, tmp_path / "third", cache)
    third.run("build", APP).said("from the cache)", "0 built, 8 reused")
    other.run("build", APP).said("from the store)")  # why has kept the records
    third.append("src/score.py", "# edited\n")
    gone = third.run("build", APP, env={"BUILDRULES_CACHE": f"file://{tmp_path}/gone"})
    gone.said("is missing from the store, and the cache does not give it")


def test_why_something_is_not_cached(team: Space, tmp_path: Path, cache: Path) -> None:
    team.build()
    other = other_machine(team, tmp_path / "other", cache)
    same = other.run("why", APP, "--not-cached")
    assert same.out.strip().endswith("8 of 8 steps are in the cache")
    other.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    other.append("src/score.py", "# edited\n")
    other.run("lock")
    said = other.run("why", APP, "--not-cached")
    said.said("your requirements lock differs from that of the nearest record: numlib 1.0 / 2.0")
    said.said("code code: not in the cache; the nearest record differs (there -> here)", "file src/score.py changed")
    other.build()
    other.run("why", APP, "--not-cached").said("image of //:app: not in the cache; the nearest record differs")
    other.run("why", APP, "--not-cached", env={"BUILDRULES_CACHE": ""}, code=2).said("no cache is shared")
    other.run("why", APP, "--not-cached", "--no-remote", code=2).said("no cache is shared")


def test_why_does_not_hide_that_nobody_could_be_asked(team: Space, tmp_path: Path, cache: Path) -> None:
    team.build()
    other = other_machine(team, tmp_path / "other", cache, upload="always")
    down = other.run("why", APP, "--not-cached", env={"BUILDRULES_CACHE": "http://127.0.0.1:9"})
    assert "warning: cache http://127.0.0.1:9 fails and is left alone for reading" in down.err
    public = PrivateKey("ci", b"c" * 32).public(("main",)).text()
    other.write("ci.pub", public)
    other.edit("BUILD.yaml", "platforms", "cache: {signatures: require, public_keys: [ci.pub]}\n  platforms")
    refused = other.run("why", APP, "--not-cached")
    refused.said("0 of 8 steps are in the cache")
    assert "warning: nothing was taken from the cache" in refused.err and "unsigned" in refused.err
    assert "uploaded" not in refused.err, "a look has no need of a key"


def test_no_remote_leaves_it_all_out(workspace: Space) -> None:
    env = {"BUILDRULES_CACHE": "gopher://cache.example", "BUILDRULES_CACHE_UPLOAD": "maybe"}
    assert "cache" not in workspace.run("build", APP, "--no-remote", env=env).err


@pytest.mark.network
@pytest.mark.parametrize("seed", range(CASES))
def test_every_build_ends_with_the_digests_of_a_clean_one_however_the_network_is(
    seed: int, team: Space, tmp_path: Path
) -> None:
    def through(space: Space, name: str, server: Faulty | CacheServer) -> Space:
        space.env |= {"BUILDRULES_CACHE": f"http://{name}{server.host}"}
        return space

    writer = f"{WRITER}:{quote(PASSWORD)}@"
    kinds = ("reset", "close", "flip", "length")  # a refusal would end it all
    with cache_server(tmp_path / "server") as server:
        with Faulty(server.host, seed=seed, rate=0.2, kinds=kinds) as proxy:
            first = through(team, writer, proxy).build()
            other = through(other_machine(team, tmp_path / "other", tmp_path), "", proxy)
            second = other.build()
            other.run("export", APP, "-o", str(other.folder / "layout"))
            other.sound()
        third = through(other_machine(team, tmp_path / "third", tmp_path, upload="always"), writer, server)
        assert third.build().digest == second.digest == first.digest == team.clean_build(options=["--no-remote"]).digest
        fourth = through(other_machine(team, tmp_path / "fourth", tmp_path), "", server)
        assert fourth.build().executed == 0


def test_ctrl_c_ends_an_upload_that_hangs(workspace: Space) -> None:
    seen, done = threading.Event(), threading.Event()

    def answer(handler: Plain) -> None:
        """A server without records, that never takes one."""
        if handler.command == "PUT":
            seen.set()
            done.wait(60)
        handler.send(404)

    with Local(answer) as server:
        env = {"BUILDRULES_CACHE": server.url, "BUILDRULES_CACHE_UPLOAD": "always"}
        process = workspace.start("build", APP, env=env)
        try:
            assert seen.wait(60)
            while not list((workspace.store / "table").glob("log*")):  # something was made, and is kept
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            done.set()
            process.kill()
    assert process.returncode == 130, err
    assert "interrupted" in err
    workspace.sound()
    assert workspace.build().digest == workspace.clean_build().digest


@pytest.mark.network
@pytest.mark.parametrize("scheme", ["oci", "grpc"])
def test_other_protocols_carry_the_same(scheme: str, team: Space, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with contextlib.ExitStack() as stack:
        if scheme == "oci":
            url = f"oci://{stack.enter_context(registry(tmp_path / 'server'))}/team/cache"
        else:
            url = stack.enter_context(casd_server(tmp_path / "server" / "content")).url
        team.env["BUILDRULES_CACHE"] = url
        first = team.build()
        other = other_machine(team, tmp_path / "other", tmp_path)
        other.env["BUILDRULES_CACHE"] = url
        second = other.build()
        assert (second.executed, second.digest) == (0, first.digest)
        assert set(second.data["bytes"]["moved"]) == {"cache"}
        other.run("export", APP, "-o", str(other.folder / "layout"))
        other.sound()
