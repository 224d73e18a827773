"""Models of a hub as Hugging Face's: lock, build, fetch at start, and what the hub's own client gets."""

import hashlib
import json
import signal
import socket
import tarfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.actions.models.connection import connection_of, scope
from buildrules.credentials.connections import Connections
from buildrules.errors import BuildrulesError, FetchError, IntegrityError, LoadError, UsageError
from buildrules.locking.models.huggingface import place, resolve
from buildrules.locking.models.origin import resolve as resolve_all
from buildrules.rules.resolver import hub_uri
from buildrules.start.huggingface import headers, locate
from buildrules.start.web import Web
from tests.models.conftest import APP, download
from tests.support.canary import Canary
from tests.support.fetching import access
from tests.support.hub import Hub, pointer
from tests.support.space import Report, Space

NAME = "acme/tiny"
LOCK = "model.m.lock"
WEIGHTS = bytes(range(256)) * 8000
FILES = {
    ".empty": b"",
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"---\nlicense: apache-2.0\n---\n# tiny\n",
    "config.json": b'{"model_type": "bert"}\n',
    "onnx/model a+b.bin": WEIGHTS[::-1],
    "weights.bin": WEIGHTS,
}


@pytest.fixture
def lone() -> Iterator[Hub]:
    """A hub with one repository."""
    server = Hub()
    server.commit(NAME, FILES, card={"license": "apache-2.0"})
    yield server
    server.close()


@pytest.fixture
def hub(workspace: Space, lone: Hub) -> Hub:
    """The hub that HF_ENDPOINT names in the workspace."""
    workspace.env["HF_ENDPOINT"] = lone.url
    return lone


def from_hub(space: Space, hub: str = NAME, more: str = "", package: str = "") -> None:
    space.edit("BUILD.yaml", "{rule: model, path: weights}", f'{{rule: model, hub: "{hub}"{more}}}')
    space.append("BUILD.yaml", f"    mount_path: {space.folder / 'served'}\n{package}")


def locked(space: Space) -> dict[str, Any]:
    return tomllib.loads(space.path(LOCK).read_text())


def laid(space: Space, report: Report) -> dict[str, bytes]:
    """The files of the model in the image, by their paths below its directory."""
    directory, found = f"{space.folder}/served/".lstrip("/"), {}
    for layer in report.data["targets"][0]["layers"]:
        if layer["origin"].startswith("model m"):
            with tarfile.open(space.blobs()[layer["digest"]]) as archive:
                for member in filter(tarfile.TarInfo.isfile, archive):
                    found[member.name.removeprefix(directory)] = archive.extractfile(member).read()  # type: ignore[union-attr]
    return found


def test_a_lock_without_the_large_files(workspace: Space, hub: Hub) -> None:
    from_hub(workspace)
    workspace.run("lock").said(f"wrote {LOCK}")
    lock = locked(workspace)
    source = lock["source"]
    assert source["repository"] == NAME and source["alias"] == "main" and source["license"] == "Apache-2.0"
    assert source["revision"] == hub.repositories[NAME].refs["main"]
    assert {file["path"]: file["sha256"] for file in lock["files"]} == {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }
    assert not hub.store.seen and sorted(hub.resolved(NAME)) == [".empty", ".gitattributes", "README.md", "config.json"]


def test_the_same_files_as_the_hub_s_own_client_gets(workspace: Space, hub: Hub) -> None:
    from huggingface_hub import snapshot_download

    from_hub(workspace)
    report = workspace.build()
    folder = workspace.folder / "theirs"
    place = Path(snapshot_download(NAME, endpoint=hub.url, cache_dir=folder, token=False))
    theirs = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert laid(workspace, report) == theirs == FILES and place.name == locked(workspace)["source"]["revision"]


def test_a_moved_branch_is_shown_by_lock_and_never_taken_by_build(workspace: Space, hub: Hub) -> None:
    from_hub(workspace)
    first, old = workspace.build(), hub.repositories[NAME].refs["main"]
    new = hub.commit(NAME, {**FILES, "config.json": b"{}\n"}, card={"license": "mit"})
    assert workspace.build().digest == first.digest
    assert (
        workspace.build(options=["--locked"], env={"BUILDRULES_CACHE_DIR": f"{workspace.store}2"}).digest
        == first.digest
    )
    hub.seen.clear()
    told = workspace.run("lock").said(
        f"main: revision {old} -> {new}", "license Apache-2.0 -> MIT", "config.json sha256:"
    )
    assert hub.resolved(NAME) == ["config.json"], "only what changed is fetched"
    assert "weights" not in told.out + told.err
    hub.store.seen.clear()
    assert workspace.build().digest != first.digest and not hub.store.seen


def test_licence_and_card_are_labels_and_shown(workspace: Space, hub: Hub) -> None:
    from_hub(workspace)
    report = workspace.build()
    labels = workspace.config(report.digest)["Labels"]
    commit = hub.repositories[NAME].refs["main"]
    card = f"{hub.url}/{NAME}/tree/{commit}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert json.loads(labels["buildrules.cards"]) == {str(workspace.folder / "served"): card}
    workspace.run("show", APP).said(f"Apache-2.0, see {card}", f"version {commit},")


def test_fetched_at_start_from_the_same_place(workspace: Space, hub: Hub) -> None:
    hub.wanted = "Bearer hf_of_a_test"
    hub.commit(NAME, FILES, private=True)
    from_hub(workspace, more=", files: [weights.bin, '*.json']", package="    mode: download\n")
    start = download(workspace, workspace.build(env={"HF_TOKEN": "hf_of_a_test"}))
    told = start.run(code=1)
    assert "RepoNotFound" in told and "HF_TOKEN, which goes to huggingface.co, or where HF_ENDPOINT says" in told
    told = start.run(code=1, env={"HF_TOKEN": "hf_of_a_test"})
    assert f"HF_TOKEN was not sent: it goes to https://huggingface.co, and the model is at {hub.url}" in told
    assert f"set HF_ENDPOINT={hub.url} " in told and "hf_of_a_test" not in told
    place = workspace.folder / "served"
    row = next(row for row in locked(workspace)["files"] if row["path"] == "weights.bin")
    place.mkdir(exist_ok=True)
    (place / f".{row['sha256']}.part").write_bytes(WEIGHTS[:100_000])
    hub.store.seen.clear()
    start.run(env={"HF_TOKEN": "hf_of_a_test", "HF_ENDPOINT": hub.url})
    assert (place / "weights.bin").read_bytes() == WEIGHTS
    assert hub.store.asked(f"/lfs/{row['sha256']}") == ["bytes=100000-"]
    assert all("Authorization" not in headers for _, headers in hub.store.seen)


def test_manifests_take_the_token_of_a_gated_model_from_a_secret(workspace: Space, hub: Hub) -> None:
    hub.wanted = "Bearer hf_of_a_test"
    hub.commit(NAME, FILES, gated=True)
    from_hub(workspace, package="    mode: download\n")
    token = {"HF_TOKEN": "hf_of_a_test"}
    words = ("--for", "kubernetes", "-o", "out", "--to", "registry.example/models")
    workspace.run("deploy-files", APP, *words, env=token).said("secret HF_TOKEN")
    made = (workspace.root / "out" / "app.yaml").read_text()
    assert "name: HF_TOKEN" in made and "secretKeyRef" in made and "hf_of_a_test" not in made
    hub.repositories[NAME].gated = False
    workspace.run("lock", env=token)
    workspace.run("deploy-files", APP, *words, env=token)
    assert "HF_TOKEN" not in (workspace.root / "out" / "app.yaml").read_text()


def test_the_layers_of_a_download_hold_no_name_of_the_revision(workspace: Space, hub: Hub) -> None:
    from_hub(workspace, f"{NAME}@main", package="    mode: download\n")
    layers = workspace.build().targets[APP]["layers"]
    hub.repositories[NAME].card = {"license": "mit"}
    for revision in (hub.repositories[NAME].refs["main"], "main"):
        workspace.edit("BUILD.yaml", f"{NAME}@main", f"{NAME}@{revision}")
        workspace.run("lock")
        again = workspace.build().targets[APP]["layers"]
        assert [one["digest"] for one in again] == [one["digest"] for one in layers]
        workspace.edit("BUILD.yaml", f"{NAME}@{revision}", f"{NAME}@main")


def test_the_hub_is_the_one_that_the_variables_given_name(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": "ours", "type": "huggingface", "target": "https://hub.example", "kind": "none", "parts": {}}
    known, source = Connections([row]), {"kind": "huggingface", "repository": NAME}
    ours, other = {"HF_ENDPOINT": "https://hub.example"}, {"HF_ENDPOINT": "https://other.example"}
    for outside in (None, "https://other.example", "https://hub.example"):
        monkeypatch.delenv("HF_ENDPOINT", raising=False)
        if outside is not None:
            monkeypatch.setenv("HF_ENDPOINT", outside)
        found = connection_of(source, None, known, ours)
        assert found is not None and found.name == "ours" and scope(source, found, ours) == {"within": found.target}
        assert connection_of(source, None, known, other) is None and not scope(source, found, other)
        assert connection_of(source, None, known, {}) is not None, "the only one there is"


def test_a_killed_build_goes_on_where_it_was(workspace: Space, hub: Hub) -> None:
    from_hub(workspace)
    workspace.run("lock")
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    hub.store.pause = 0.1
    process = workspace.start("build", APP)
    partial = workspace.store / "tmp" / "partial" / digest
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there, hub.store.pause = partial.stat().st_size, 0.0
    hub.store.faults[f"/lfs/{digest}"] = ["drop 1000"]
    workspace.build()
    assert hub.store.asked(f"/lfs/{digest}") == [None, f"bytes={there}-", f"bytes={there + 1000}-"]


def test_a_secret_is_kept_nowhere_and_told_to_no_other_host(workspace: Space, hub: Hub) -> None:
    canary = Canary(plain=True)
    hub.wanted = f"Bearer {canary.text}"
    hub.commit(NAME, FILES, private=True)
    hub.commit(NAME, FILES, "feature/x")
    from_hub(workspace, f"{NAME}@feature/x", package="    mode: download\n")
    workspace.edit(
        "BUILD.yaml",
        "  platforms:",
        f"  connections:\n    hub: {{type: huggingface, target: '{hub.url}', credentials: {{pat: {{env: OURS}}}}}}\n"
        "  platforms:",
    )
    refused = workspace.run("build", APP, "--json", code=1, env={"OURS": "another one"})
    refused.said("RepoNotFound (with the connection 'hub')")
    report = workspace.build(env={"OURS": canary.text, "HF_ENDPOINT": ""})
    assert locked(workspace)["source"]["endpoint"] == hub.url, "the one hub of the workspace"
    start = download(workspace, report)
    assert "set OURS for the container" in start.run(code=1)
    start.run(env={"OURS": canary.text})
    assert (workspace.folder / "served/weights.bin").read_bytes() == WEIGHTS
    workspace.edit("BUILD.yaml", "    mode: download\n", "")
    workspace.build(env={"OURS": canary.text})
    assert hub.store.seen and all("Authorization" not in headers for _, headers in hub.store.seen)
    assert canary.found(workspace.folder) == [] and not canary.inside(json.dumps(report.data).encode())


def test_a_model_of_the_workspace_that_is_fetched_from_the_hub(workspace: Space, hub: Hub) -> None:
    hub.commit(NAME, {f"w/{path.name}": path.read_bytes() for path in workspace.path("weights").iterdir()}, "v1")
    workspace.edit("BUILD.yaml", "path: weights}", f"path: weights, download_uri: 'hf://{NAME}@v1/w'}}")
    directory = workspace.folder / "served"
    workspace.append("BUILD.yaml", f"    mount_path: {directory}\n    mode: download\n")
    download(workspace).run(env={"HF_ENDPOINT": hub.url})
    found = {path.name: path.read_bytes() for path in directory.rglob("*.txt")}
    assert found == {path.name: path.read_bytes() for path in workspace.path("weights").iterdir()}


@pytest.mark.parametrize("way", ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "home"])
def test_the_token_of_the_hub_s_own_client(tmp_path: Path, lone: Hub, way: str) -> None:
    lone.wanted = "Bearer hf_of_a_test"
    lone.commit(NAME, FILES, private=True)
    places = {"HF_TOKEN_PATH": "token", "HF_HOME": "token", "home": ".cache/huggingface/token"}
    if way in places:
        (tmp_path / places[way]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / places[way]).write_text("hf_of_a_test\n")
    said = {"HF_TOKEN": "hf_of_a_test", "HF_TOKEN_PATH": str(tmp_path / "token"), "home": str(tmp_path)}
    environ = {"HOME" if way == "home" else way: said.get(way, str(tmp_path))}
    found = resolve(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": lone.url, **environ}))
    assert len(found.files) == len(FILES)
    url = f"{lone.url}/{NAME}"
    assert headers({"endpoint": lone.url}, url, {"HF_ENDPOINT": lone.url, **environ})
    assert not headers({"endpoint": lone.url}, url, environ), "a lock names this hub, and nobody here does"
    assert not headers({}, "http://hub.example/x", {"HF_ENDPOINT": "http://hub.example", **environ}), "unencrypted"


def test_a_repository_that_was_renamed(workspace: Space, hub: Hub) -> None:
    hub.wanted = "Bearer hf_of_a_test"
    hub.commit("acme/new", FILES, private=True)
    hub.renamed = {"acme/old": "acme/new"}
    workspace.env["HF_TOKEN"] = "hf_of_a_test"
    from_hub(workspace, "acme/old")
    assert laid(workspace, workspace.build()) == FILES


def test_an_input_from_the_hub(workspace: Space, hub: Hub) -> None:
    workspace.append(
        "BUILD.yaml", f'    inputs: [":i"]\n  i: {{rule: input, hub: "{NAME}", files: ["*.json"], mount_path: /in}}\n'
    )
    report = workspace.build()
    with tarfile.open(workspace.blobs()[report.layer("input i: small files")["digest"]]) as archive:
        assert "in/config.json" in archive.getnames()


def test_a_path_a_file_and_branches_with_slashes(tmp_path: Path, lone: Hub) -> None:
    lone.commit(NAME, {**FILES, "onnx/config.json": b"{2}"}, "feature/x")
    lone.commit(NAME, FILES, "refs/pr/1")
    reach = access(tmp_path, {"HF_ENDPOINT": lone.url})
    found = resolve(f"hf://{NAME}@feature%2Fx/onnx/", reach)
    assert {file.path for file in found.files} == {"config.json", "model a+b.bin"} and found.source["prefix"] == "onnx/"
    assert resolve(hub_uri(f"{NAME}@feature/x"), reach).source["alias"] == "feature/x"
    assert len(resolve(f"hf://models/{NAME}@refs/pr/1", reach).files) == len(FILES)
    assert place("hf://gpt2@v1/x")["repository"] == "gpt2"
    commit = lone.repositories[NAME].refs["main"]
    (file,) = resolve(f"hf://{NAME}@{commit}/onnx/model a+b.bin", reach).files
    assert (file.path, file.size) == ("model a+b.bin", len(WEIGHTS))
    assert reach.take(found.source, file.to_dict()) == (file.size, file.sha256)


@pytest.mark.parametrize(
    ("uri", "text", "hint"),
    [
        ("hf://acme/none", "401 Unauthorized: RepoNotFound", "see that its name is right"),
        ("hf://acme/tiny@none", "404 Not Found: RevisionNotFound", "branch, tag or commit"),
        ("hf://acme/tiny/onxx", "has no files", "did you mean 'onnx"),
        ("hf://datasets/acme/x", "names a dataset", "hf://ORG/NAME@REVISION"),
        ("hf://acme/ti ny", "does not name a repository", "hf://ORG/NAME@REVISION"),
        ("hf://https://huggingface.co/acme/tiny", "address of a page", "write acme/tiny"),
        ("hf://acme/tiny@../x", "does not name a repository", "hf://ORG/NAME@REVISION"),
        ("hf://acme/tiny@main/../x", "does not name a repository", "hf://ORG/NAME@REVISION"),
    ],
)
def test_what_is_not_there(tmp_path: Path, lone: Hub, uri: str, text: str, hint: str) -> None:
    with pytest.raises(BuildrulesError) as caught:
        resolve(uri, access(tmp_path, {"HF_ENDPOINT": lone.url}))
    assert text in caught.value.message and hint in (caught.value.hint or "")


def test_a_hub_that_does_not_answer_is_no_dead_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(BuildrulesError) as caught:
        resolve(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}))
    assert "a mirror of the hub in HF_ENDPOINT" in (caught.value.hint or "")


@given(st.text(alphabet="ag@/.%-\\\n2F:é", max_size=12))
def test_a_uri_names_a_repository_or_is_an_error(text: str) -> None:
    try:
        source = place(f"hf://{text}")
    except UsageError:
        return
    url, _ = locate({**source, "endpoint": "https://hub.example"}, {"path": "x"}, {}, Web())
    revision = url.removeprefix(f"https://hub.example/{source['repository']}/resolve/").partition("/")[0]
    assert unquote(revision) == source["revision"] and ".." not in url.split("/")


def test_globs_choose_files_and_one_that_is_nothing_is_an_error(workspace: Space, hub: Hub) -> None:
    from_hub(workspace, more=", files: [weights.bin, '*.jsn']")
    workspace.run("lock", code=2).said("BUILD.yaml:10:", "'*.jsn' of `files` is nothing in 'hf://acme/tiny'", "^^^^^^^")
    workspace.edit("BUILD.yaml", "*.jsn", "*.json")
    workspace.run("lock")
    assert [row["path"] for row in locked(workspace)["files"]] == ["config.json", "weights.bin"]
    workspace.edit("BUILD.yaml", ", '*.json'", "")
    workspace.run("build", APP, "--locked", code=1).said("what the target says has changed")
    workspace.edit("BUILD.yaml", f'hub: "{NAME}"', f'uri: "{hub.url}/x"')
    workspace.run("lock", code=2).said("`files` has no effect here")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository(tmp_path: Path, lone: Hub, status: int) -> None:
    lone.commit(NAME, FILES, gated=True)
    token = {"HF_TOKEN": "hf_of_another"} if status == 403 else {}
    with pytest.raises(FetchError, match=f"{status} .*: GatedRepo") as caught:
        resolve(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": lone.url, **token}))
    assert "accept the conditions" in str(caught.value.hint) and "hf_of_another" not in str(caught.value)


def test_weights_in_several_files_of_which_one_is_left_out(tmp_path: Path, lone: Hub) -> None:
    weights = {f"model-0000{number}-of-00002.safetensors": bytes([number]) * 9 for number in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", weights, strict=True))}).encode()
    lone.commit(NAME, {**weights, "model.safetensors.index.json": index, "other.index.json": b"[]"})
    reach = access(tmp_path, {"HF_ENDPOINT": lone.url})
    assert len(resolve(f"hf://{NAME}", reach).files) == 4
    reach.wanted = {"*.json": None, "*00001*": None}
    with pytest.raises(LoadError, match=r"names 'model-00002-of-00002\.safetensors', which is not among") as caught:
        resolve(f"hf://{NAME}", reach)
    assert "`files`" in str(caught.value.hint)


def test_weights_in_several_files_of_which_one_is_excluded(workspace: Space, hub: Hub) -> None:
    weights = {f"model-{number}.bin": bytes([number]) * 9 for number in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", weights, strict=True))}).encode()
    hub.commit(NAME, {**weights, "pytorch_model.bin.index.json": index, "big/x": b"x"})
    from_hub(workspace, more=", exclude: [big, 'big/*']")
    workspace.build(APP)
    workspace.edit("BUILD.yaml", "[big, 'big/*']", "[big, 'model-2*']")
    for locked in ("lock", "build"):
        said = workspace.run(locked, *([APP] if locked == "build" else []), code=2)
        said.said("names 'model-2.bin', which is not among", "take them out of `exclude`")
        line = next(text for text in said.err.splitlines() if "'model-2*'" in text)
        assert said.err.splitlines()[said.err.splitlines().index(line) + 1].index("^") == line.index("'model-2*'")
    workspace.edit("BUILD.yaml", "[big, 'model-2*']", "['*model*']")
    workspace.build(APP)


def test_what_only_stands_for_a_file(workspace: Space, hub: Hub) -> None:
    hub.commit(NAME, {"model.onnx": pointer(WEIGHTS)})
    from_hub(workspace)
    workspace.run("build", APP, code=1).said("'model.onnx' is a pointer of git-lfs", "lock the model again")
    hub.commit(NAME, {"weights.bin": WEIGHTS})
    workspace.run("lock")
    hub.store.files[f"/lfs/{hashlib.sha256(WEIGHTS).hexdigest()}"] = pointer(WEIGHTS)
    workspace.run("build", APP, code=1).said("other content than it must")


def row(**changed: Any) -> dict[str, Any]:
    return {"rfilename": "a", "size": 1, "blobId": "0" * 40, **changed}


@pytest.mark.parametrize(
    "rows",
    [
        [row(rfilename="../a")],
        [row(rfilename="/etc/passwd")],
        [row(rfilename="a\\b")],
        [row(rfilename="a\x1b[2Jb")],
        [row(rfilename="\ud800")],
        [row(rfilename=7)],
        [row(rfilename="x/.wh.a")],
        [row(lfs={"sha256": "0" * 64, "size": 1}), row(lfs={"sha256": "1" * 64, "size": 1})],
        [row(lfs={"sha256": "0" * 64, "size": 1}), row(rfilename="a/b", lfs={"sha256": "1" * 64, "size": 1})],
        [row(size=-1)],
        [row(size=True)],
        [row(size=1 << 63, lfs={"sha256": "0" * 64})],
        [row(size=1 << 30)],
        [row(blobId="../x")],
        [row(lfs={"sha256": "x" * 64, "size": 1})],
        [row(lfs=[])],
        [{"rfilename": "a"}],
        [],
        ["a"],
        {"a": 1},
    ],
)
def test_a_listing_that_is_hostile_or_none(tmp_path: Path, lone: Hub, rows: Any) -> None:
    lone.tampered[NAME] = {"sha": "0" * 40, "siblings": rows}
    with pytest.raises((UsageError, FetchError)):
        resolve_all(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": lone.url, "BUILDRULES_FETCH_TRIES": "1"}))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("answer", [[], {}, {"sha": "main", "siblings": []}, {"sha": "0" * 40}, b"[" * 100_000])
def test_an_answer_that_is_none(tmp_path: Path, lone: Hub, answer: Any) -> None:
    lone.tampered[NAME] = answer
    with pytest.raises(FetchError, match="does not answer as Hugging Face's hub does"):
        resolve(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": lone.url}))


def test_another_commit_than_was_asked_for(tmp_path: Path, lone: Hub) -> None:
    commit = lone.repositories[NAME].refs["main"]
    lone.tampered[NAME] = {"sha": "0" * 40, "siblings": []}
    with pytest.raises(FetchError, match=f"it gives commit 0{{40}} where {commit} is asked for"):
        resolve(f"hf://{NAME}@{commit}", access(tmp_path, {"HF_ENDPOINT": lone.url}))


def test_a_small_file_that_is_not_what_git_s_id_says(tmp_path: Path, lone: Hub) -> None:
    commit = lone.repositories[NAME].refs["main"]
    lone.faults[f"/{NAME}/resolve/{commit}/config.json"] = ["wrong"]
    with pytest.raises(IntegrityError, match=r"'config\.json' of 'model' is not what the hub says"):
        resolve(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": lone.url}))


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "bsd-3-clause"}, "BSD-3-Clause"),
        ({"license": "llama3.1"}, "LicenseRef-llama3.1"),
        ({"license": "other", "license_name": "Some\nTerms (2)"}, "LicenseRef-Some-Terms-2-"),
        ({"license": ["mit", "apache-2.0"]}, "Apache-2.0 AND MIT"),
        ({"license": {"a": 1}}, None),
        ({}, None),
        ([], None),
    ],
)
def test_licences(tmp_path: Path, lone: Hub, card: Any, licence: str | None) -> None:
    lone.commit(NAME, FILES, card=card)
    assert resolve(f"hf://{NAME}", access(tmp_path, {"HF_ENDPOINT": lone.url})).source.get("license") == licence


def test_a_wrong_name_a_wrong_revision_and_a_wrong_path_end_alike(workspace: Space, hub: Hub) -> None:
    from_hub(workspace)
    name = f'hub: "{NAME}"'
    for wrong in (f'hub: "{NAME}x"', f'hub: "{NAME}@none"', f'uri: "hf://{NAME}/none"'):
        workspace.edit("BUILD.yaml", name, wrong)
        workspace.run("lock", code=1)
        name = wrong
