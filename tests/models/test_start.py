"""The fetcher of images in mode download, run as a plain process without site-packages."""

import ast
import hashlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules import start
from buildrules.start.sources import KINDS, READ, needed
from tests.models.conftest import APP, Start, download, from_uri
from tests.support.space import Space, make_base
from tests.support.web import Web

DATA = os.urandom(1 << 20) * 3
DOWNLOAD = "    mode: download\n"
PATH = "/files/model.bin"


class Late:
    """A package in mode download: its fetcher, and the file it brings."""

    def __init__(self, space: Space, web: Web, more: str = "", settings: str = "") -> None:
        web.files[PATH] = DATA
        self.space = space
        if settings:
            space.edit("BUILD.yaml", "  platforms:", f"{settings}  platforms:")
        self.directory = from_uri(space, web.url + PATH, more, package=DOWNLOAD)
        self.file = self.directory / "model.bin"
        self.report = space.build(env={"TOKEN": "canary-token"})
        self.start: Start = download(space, self.report)


@pytest.fixture
def late(workspace: Space, web: Web) -> Late:
    return Late(workspace, web)


def test_the_model_is_fetched_and_the_server_replaces_the_fetcher(late: Late) -> None:
    told = late.start.run("sh", "-c", f"echo served by $0; cat {late.file} | wc -c", "me")
    assert f"served by me\n{len(DATA)}" in told
    assert "model 'm': fetching 1 files, 3.0 MiB" in told
    assert late.file.read_bytes() == DATA


def test_the_image_has_the_fetcher_before_its_entry_point_and_no_model(late: Late) -> None:
    config = late.space.config(late.report.digest)
    assert config["Entrypoint"][1:] == ["-ISB", "/opt/buildrules", "--", "tinyserver", "--threads=2"]
    assert config["Entrypoint"][0].startswith("/usr/local/bin/python3")
    assert "sha256:" in config["Labels"]["buildrules.models"]
    assert sum(layer["size"] for layer in late.report.targets[APP]["layers"]) < len(DATA)


def test_the_fields_that_kinds_read_are_those_that_are_written() -> None:
    """What is not in the table is not in the image, so whatever the code names of a source must be there."""
    common = {"kind", "credentials", "within"}
    for kind, module in KINDS.items():
        for file in (f"{module}.py", "sources.py", "fetcher.py"):
            text = (Path(start.__file__).parent / file).read_text()
            named = {one or two for one, two in re.findall(r"""\bsource(?:\["(\w+)"\]|\.get\("(\w+)"\))""", text)}
            known = READ[kind] if file == f"{module}.py" else {field for fields in READ.values() for field in fields}
            assert named - common <= {*known, "url"}, (file, named)
    assert needed({"kind": "s3", "bucket": "b", "alias": "x"}) == {"kind": "s3", "bucket": "b"}


def test_a_restart_fetches_nothing(late: Late, web: Web) -> None:
    late.start.run()
    seen = len(web.seen)
    assert "already there" in late.start.run()
    assert len(web.seen) == seen


def test_a_read_only_volume_that_has_the_model_will_do(late: Late) -> None:
    late.start.run()
    for path in (late.file, late.directory):
        path.chmod(0o555)
    assert "already there" in late.start.run()
    late.directory.chmod(0o755)


def test_a_file_that_was_changed_is_fetched_again(late: Late) -> None:
    late.start.run()
    late.file.write_bytes(DATA[::-1])
    late.start.run()
    assert late.file.read_bytes() == DATA


def test_a_broken_transfer_goes_on_where_it_broke(late: Late, web: Web) -> None:
    web.seen.clear()
    web.faults[PATH] = ["503", "drop 2000000", "drop 600000"]
    late.start.run(env={"BUILDRULES_FETCH_TRIES": "4"})
    assert late.file.read_bytes() == DATA
    assert web.asked(PATH) == [None, None, "bytes=2000000-", "bytes=2600000-"]


def test_a_server_without_ranges_is_read_from_the_start(late: Late, web: Web) -> None:
    web.ranges = False
    web.faults[PATH] = ["drop 2000000"]
    late.start.run()
    assert late.file.read_bytes() == DATA


def test_a_killed_start_is_resumed_by_the_next(late: Late, web: Web) -> None:
    web.pause = 0.05
    process = late.start.begin()
    partial = late.directory / f".{hashlib.sha256(DATA).hexdigest()}.part"
    wait_for(lambda: partial.exists() and partial.stat().st_size > 500_000)
    process.kill()
    process.communicate()
    web.pause = 0.0
    web.seen.clear()
    late.start.run()
    (asked,) = web.asked(PATH)
    assert asked is not None and int(asked.removeprefix("bytes=").rstrip("-")) >= 500_000
    assert late.file.read_bytes() == DATA
    assert not partial.exists()


def test_a_corrupt_rest_of_an_earlier_start_is_thrown_away(late: Late, web: Web) -> None:
    late.directory.mkdir()
    (late.directory / f".{hashlib.sha256(DATA).hexdigest()}.part").write_bytes(b"x" * 1000)
    late.start.run()
    assert late.file.read_bytes() == DATA


def test_sigterm_ends_a_start_and_keeps_what_arrived(late: Late, web: Web) -> None:
    web.pause = 0.05
    process = late.start.begin("sh", "-c", "echo served")
    partial = late.directory / f".{hashlib.sha256(DATA).hexdigest()}.part"
    wait_for(lambda: partial.exists() and partial.stat().st_size > 100_000)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert "served" not in out and "stopped by signal 15" in err
    assert partial.stat().st_size > 100_000


def test_two_starts_on_one_volume_fetch_once(late: Late, web: Web) -> None:
    web.seen.clear()
    web.pause = 0.01
    both = [late.start.begin(), late.start.begin()]
    assert [process.wait(60) for process in both] == [0, 0]
    assert late.file.read_bytes() == DATA
    assert len(web.asked(PATH)) == 1


def test_wrong_bytes_are_refused(late: Late, web: Web) -> None:
    web.faults[PATH] = ["wrong", "wrong"]
    told = late.start.run("echo", "served", code=1)
    assert "model 'm', file 'model.bin', from http://127.0.0.1" in told
    assert "has other content than it must" in told and "lock and build again" in told
    assert "served\n" not in told and not late.file.exists()


def test_a_missing_file_names_model_source_and_file(late: Late, web: Web) -> None:
    del web.files[PATH]
    told = late.start.run(code=1)
    assert "model 'm', file 'model.bin', from http://127.0.0.1" in told and "answered 404" in told


def test_an_unreachable_server_is_named(late: Late, web: Web) -> None:
    web.close()
    told = late.start.run(code=1)
    assert "cannot be reached: connection refused (after 2 tries)" in told and "help: in a container this" in told


def test_a_directory_that_cannot_be_written_is_named(late: Late) -> None:
    late.directory.write_text("a file in the way")
    told = late.start.run(code=1)
    assert "cannot be written" in told and str(late.directory) in told


def test_a_server_that_is_not_there_is_named(late: Late) -> None:
    assert "the server 'no-such-server' cannot be started" in late.start.run("no-such-server", code=127)


CONNECTION = """\
  connections:
    store: {type: http, target: "URL", credentials: {type: pat, pat: {env: TOKEN}, username: me}}
"""


@pytest.fixture
def guarded(workspace: Space, web: Web) -> Late:
    """Like `late`, where the store wants a token."""
    web.wanted = "Basic bWU6Y2FuYXJ5LXRva2Vu"
    return Late(workspace, web, settings=CONNECTION.replace("URL", web.url))


def test_a_token_is_read_from_the_environment_at_start(guarded: Late) -> None:
    guarded.start.run(env={"TOKEN": "canary-token"})
    assert guarded.file.read_bytes() == DATA


def test_a_token_may_be_mounted_as_a_file(guarded: Late, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-token\n")
    guarded.start.run(env={"TOKEN_FILE": str(tmp_path / "token")})
    assert guarded.file.read_bytes() == DATA


def test_an_expired_or_missing_token_names_its_variable(guarded: Late) -> None:
    told = guarded.start.run(code=1, env={"TOKEN": "canary-old"})
    assert "answered 401" in told and "what TOKEN holds is refused: it has expired" in told
    assert "canary" not in told
    assert "set TOKEN for the container" in guarded.start.run(code=1)


def test_a_token_stays_with_its_server(guarded: Late, web: Web) -> None:
    other = Web()
    try:
        other.files["/elsewhere"] = DATA
        web.faults[PATH] = [f"redirect {other.url}/elsewhere"]
        guarded.start.run(env={"TOKEN": "canary-token"})
        assert guarded.file.read_bytes() == DATA
        assert "Authorization" not in other.seen[0][1]
    finally:
        other.close()


def test_no_credential_is_kept_anywhere(guarded: Late) -> None:
    canaries = (b"canary-token", b"bWU6Y2FuYXJ5LXRva2Vu")
    kept = [*guarded.space.store.rglob("*"), *guarded.space.root.rglob("*"), *guarded.start.root.rglob("*")]
    for path in kept:
        data = path.read_bytes() if path.is_file() else b""
        assert not any(canary in data for canary in canaries), path
    assert json.loads(guarded.start.text)["downloads"][0]["source"]["credentials"]["password"] == "TOKEN"


def test_a_model_of_the_workspace_needs_to_be_told_where_it_will_lie(workspace: Space, web: Web) -> None:
    workspace.append("BUILD.yaml", DOWNLOAD)
    workspace.run("build", APP, code=2).said("nothing says where from", "download_uri", "BUILD.yaml:")
    directory = workspace.folder / "served"
    workspace.edit("BUILD.yaml", "path: weights", f'path: weights, download_uri: "{web.url}/weights"')
    workspace.append("BUILD.yaml", f"    mount_path: {directory}\n")
    start = download(workspace)
    web.files |= {
        f"/weights/{name}": workspace.path(f"weights/{name}").read_bytes() for name in ("model.txt", "labels.txt")
    }
    start.run()
    assert (directory / "weights/labels.txt").read_text() == "cat\ndog\n"


@pytest.mark.parametrize("address", ["/weights", "/weights/", "/weights/model.txt"])
def test_a_single_file_may_be_named_by_its_own_address(workspace: Space, web: Web, address: str) -> None:
    directory = workspace.folder / "served"
    where = f'path: weights/model.txt, download_uri: "{web.url}{address}"'
    workspace.edit("BUILD.yaml", "path: weights", where)
    workspace.append("BUILD.yaml", f"{DOWNLOAD}    mount_path: {directory}\n")
    start = download(workspace)
    web.files["/weights/model.txt"] = workspace.path("weights/model.txt").read_bytes()
    start.run()
    assert (directory / "model.txt").read_bytes() == web.files["/weights/model.txt"]


def test_a_base_without_python_is_refused(workspace: Space, web: Web) -> None:
    web.files[PATH] = DATA
    from_uri(workspace, web.url + PATH, package=DOWNLOAD)
    workspace.edit("BUILD.yaml", "base_env: :env", "base_env: :bare")
    workspace.edit("rules/tiny.yaml", 'python: {requirements: ["tinyserver~=1.0"]}\n', "")
    workspace.append("BUILD.yaml", "  bare: {rule: oci_base, layout: bare}\n")
    make_base(workspace.root / "bare", python="")
    workspace.run("build", APP, code=2).said("needs a Python", "mode: copy", "BUILD.yaml:")


def test_inputs_are_fetched_as_well(workspace: Space, web: Web) -> None:
    web.files |= {PATH: DATA, "/labels.json": b"{}"}
    from_uri(workspace, web.url + PATH, package=DOWNLOAD)
    place = workspace.folder / "inputs"
    workspace.append("BUILD.yaml", "    inputs: [':labels']\n")
    workspace.append("BUILD.yaml", f'  labels: {{rule: input, uri: "{web.url}/labels.json", mount_path: {place}}}\n')
    download(workspace).run()
    assert (place / "labels.json").read_bytes() == b"{}"


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@pytest.mark.parametrize("path", sorted(Path(start.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_the_fetcher_is_of_the_standard_library_and_old_python(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"
