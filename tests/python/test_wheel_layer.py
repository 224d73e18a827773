"""The action "wheel_layer", from an index to a layer."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.python.wheel_layer import WheelLayer
from buildrules.actions.registry import Kinds
from buildrules.engine.action import Action, Outputs
from buildrules.errors import FetchError, GoneError, IntegrityError, Interrupted
from buildrules.locking.python.lock import Lock, read_lock, write_lock
from buildrules.locking.python.resolve import make_lock
from buildrules.net.session import Session
from buildrules.oci.assemble import stream
from buildrules.oci.local import Local
from buildrules.start import retry
from tests.support.local import Plain
from tests.support.steps import made, step

from .conftest import Asking, Context, Index, make_wheel, sha256


def action_for(lock: Lock, context: Context, **hints: Any) -> Action:
    params = {"wheels": [package.row() for package in lock.packages], "prefix": "opt/venv", "python": "3.11"}
    return Action("a", "//:a", "wheel_layer", "wheels", params, places=hints or lock.places(context.workspace))


def run(action: Action, context: Context, deps: list[Outputs] | None = None) -> Outputs:
    return made(WheelLayer(), step(action, [], deps or []), context)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BACKOFF", 0.001)


@pytest.fixture
def lock(feed: Index, asking: Asking, quick: None) -> Lock:
    feed.add("aa", "1.0", requires=["bb"])
    feed.add("bb", "2.0", files={"bb/__init__.py": b"x = 1\n" * 500, "bb/data.bin": os.urandom(70_000)})
    return make_lock(asking("aa"), Session())


def test_registered() -> None:
    assert isinstance(Kinds(Session()).named("wheel_layer"), WheelLayer)


def test_fetches_only_when_it_runs_and_only_once(feed: Index, lock: Lock, context: Context) -> None:
    feed.seen.clear()
    action = action_for(lock, context)
    assert feed.seen == []
    (layer,) = run(action, context).layers
    assert sorted(feed.seen) == ["GET /files/aa-1.0-py3-none-any.whl", "GET /files/bb-2.0-py3-none-any.whl"]
    assert context.fetched == sum(map(len, feed.files.values()))
    assert run(action, context).layers == [layer]
    assert len(feed.seen) == 2
    assert not context.blobs.has(layer.digest)
    assert layer.recipe["compression"] == "gzip" and layer.recipe["level"] == 0
    assert [part["filename"] for part in layer.recipe["parts"]] == sorted(feed.files)


def test_the_layer_holds_the_installed_wheels(lock: Lock, context: Context) -> None:
    (layer,) = run(action_for(lock, context), context).layers
    data = b"".join(stream(layer.recipe, Local(context.blobs)))
    assert ("sha256:" + hashlib.sha256(data).hexdigest(), len(data)) == (layer.digest, layer.size)
    tar = gzip.decompress(data)
    assert "sha256:" + hashlib.sha256(tar).hexdigest() == layer.diff_id
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        file = archive.extractfile("opt/venv/lib/python3.11/site-packages/bb/__init__.py")
        assert file is not None and file.read() == b"x = 1\n" * 500
        assert "opt/venv/lib/python3.11/site-packages/aa-1.0.dist-info/RECORD" in archive.getnames()


def test_order_of_the_wheels_does_not_matter(lock: Lock, context: Context) -> None:
    action = action_for(lock, context)
    first = run(action, context)
    action.params["wheels"].reverse()
    assert run(action, context).layers == first.layers


def test_another_machine_makes_the_same_layer(lock: Lock, context: Context, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = Context(tmp_path / "elsewhere", tmp_path / "other store")
    assert run(action_for(lock, context), context).layers == run(action_for(lock, other), other).layers


def test_a_corrupt_wheel_is_named(feed: Index, lock: Lock, context: Context) -> None:
    name = "bb-2.0-py3-none-any.whl"
    feed.files[name] = feed.files[name][:-1] + b"?"
    with pytest.raises(IntegrityError, match=name):
        run(action_for(lock, context), context)


def test_a_wheel_that_rotted_in_the_store_is_fetched_again(feed: Index, lock: Lock, context: Context) -> None:
    action = action_for(lock, context)
    first = run(action, context)
    path = Path(context.blobs.path(action.params["wheels"][1][1]))
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"?" + data[101:])
    assert run(action, context).layers == first.layers
    assert len([line for line in feed.seen if line.startswith("GET /files/bb")]) >= 2


def test_a_wheel_with_a_broken_record_is_named(feed: Index, asking: Asking, context: Context) -> None:
    import zipfile

    filename, data = make_wheel("aa", "1.0")
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("aa/unlisted.py", b"")
    feed.files[filename] = buffer.getvalue()
    with pytest.raises(IntegrityError, match=filename) as caught:
        run(action_for(make_lock(asking("aa"), Session()), context), context)
    assert caught.value.hint


def test_a_portable_lock_asks_the_index(
    feed: Index, asking: Asking, root: Path, context: Context, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    portable = make_lock(asking("aa"), Session(), portable=True)
    read = read_lock(str(root), write_lock(portable, str(root)))
    assert run(action_for(read, context), context).layers[0].size > 0


def test_a_portable_lock_takes_files_beside_it_without_an_index(
    feed: Index, asking: Asking, root: Path, context: Context, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_lock(str(root), write_lock(make_lock(asking("aa"), Session(), portable=True), str(root)))
    action = action_for(read, context)  # planned before somebody puts the files there
    for name, data in feed.files.items():
        (root / name).write_bytes(data)
    feed.seen.clear()
    run(action, context)
    assert feed.seen == []


def test_a_url_that_is_gone_is_looked_up_anew(feed: Index, lock: Lock, context: Context) -> None:
    hints = lock.places(context.workspace)
    hints["urls"] = {name: [feed.file_url("moved/" + name)] for name in hints["urls"]}
    assert run(action_for(lock, context, **hints), context).layers


def test_a_file_no_index_has_any_more(
    feed: Index, lock: Lock, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    filename, data = make_wheel("bb", "2.0", files={"bb/__init__.py": b"rebuilt\n"})
    feed.files[filename] = data  # same name, other content
    hints = lock.places(context.workspace)
    hints["urls"] = {}
    with pytest.raises(GoneError, match=r"'bb-2.0-py3-none-any.whl'") as caught:
        run(action_for(lock, context, **hints), context)
    assert "'aa-" not in caught.value.message
    assert "--upgrade bb" in str(caught.value.hint)


def test_a_version_that_was_removed_does_not_hide_the_others(
    feed: Index, lock: Lock, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    del feed.files["bb-2.0-py3-none-any.whl"]
    feed.add("bb", "3.0")
    hints = lock.places(context.workspace)
    hints["urls"] = {}
    with pytest.raises(GoneError) as caught:
        run(action_for(lock, context, **hints), context)
    assert "bb-2.0" in caught.value.message and "aa-1.0" not in caught.value.message


def test_without_any_hint(lock: Lock, context: Context) -> None:
    with pytest.raises(GoneError, match="nothing says where"):
        run(action_for(lock, context, urls={}), context)


@pytest.mark.parametrize("status", [500, 429])
def test_a_busy_index_is_asked_again(feed: Index, lock: Lock, context: Context, status: int) -> None:
    failed: list[str] = []

    def trouble(handler: Plain) -> bool:
        if handler.path in failed:
            return False
        failed.append(handler.path)
        handler.send(status, Retry_After="0")
        return True

    feed.trouble = trouble
    assert run(action_for(lock, context), context).layers
    assert len(failed) == 2


def test_an_index_that_stays_down(feed: Index, lock: Lock, context: Context) -> None:
    def trouble(handler: Plain) -> bool:
        handler.send(503)
        return True

    feed.trouble = trouble
    with pytest.raises(FetchError, match="answered 503") as caught:
        run(action_for(lock, context), context)
    assert not isinstance(caught.value, GoneError)


def test_built_wheels_come_from_dependencies(lock: Lock, context: Context) -> None:
    filename, data = make_wheel("local", "9.0")
    built = Outputs(values={"filename": filename}, blobs={"wheel": context.blobs.put(data)})
    (layer,) = run(action_for(lock, context), context, [built]).layers
    assert [part["filename"] for part in layer.recipe["parts"]][-1] == filename
    assert layer.recipe["parts"][-1]["digest"] == "sha256:" + sha256(data)
    context.blobs.discard(sha256(data))
    with pytest.raises(IntegrityError, match=filename):
        run(action_for(lock, context), context, [built])


def test_ctrl_c(lock: Lock, context: Context) -> None:
    context.cancelled = True
    with pytest.raises(Interrupted):
        run(action_for(lock, context), context)
