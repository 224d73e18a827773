"""What a host is told to declare is what a build needs, and no more."""

import json
import os
from pathlib import Path

import pytest

from tests.guest.hosted import Host, Worker
from tests.support.space import APP, BUILD, FILES, Space, make_base

TWO = {
    **FILES,
    "BUILD.yaml": BUILD.partition("  code:")[0] + "  server: {rule: //rules:tiny}\n",
    "a/BUILD.yaml": (
        "targets:\n"
        "  code: {rule: scoring_code, srcs: ['**/*.py'], entry_script: score.py}\n"
        '  app: {rule: model_package, model: "//:m", base_env: "//:env", server: "//:server", code: ":code"}\n'
        '  other: {rule: model_package, model: "//b:m", base_env: "//:env", server: "//:server", code: ":code"}\n'
    ),
    "a/score.py": "def run(data):\n    return data\n",
    "b/BUILD.yaml": "targets:\n  m: {rule: model, path: m}\n",
    "b/m/model.txt": "b\n",
}


@pytest.fixture
def space(tmp_path: Path, wheelhouse: Path) -> Space:
    folder = tmp_path / "our work"
    folder.mkdir()
    space = Space(folder, wheelhouse).populate(TWO)
    space.run("lock", "//...")
    return space


def test_only_build_files_of_what_is_needed_are_inputs(space: Space) -> None:
    host = Host(space)
    lines = host.lines("//a:app")
    assert [line for line in lines if line.endswith("BUILD.yaml")] == ["BUILD.yaml", "a/BUILD.yaml"]
    host.build(host.staged(lines), lines, "--offline", label="//a:app")
    assert host.digest() == space.build("//a:app").digests["//a:app"]
    other = host.lines("//a:other")
    assert {"b/BUILD.yaml", "b/m/model.txt"} <= set(other) and "weights/model.txt" not in other
    host.build(space.root, lines, "--offline", label="//a:other", code=3).said("not declared: 'b/BUILD.yaml'")
    host.build(space.root, lines, "--offline", label="//a:none", code=2).said("//a:none")
    host.build(space.root, lines, "--offline", label=":app", code=2).said("write //package:app")


def test_empty_folders_and_links_of_models_are_kept(space: Space) -> None:
    space.write("weights/v2/model.txt", "two\n")
    space.path("weights/latest").symlink_to("v2")
    space.path("weights/best.txt").symlink_to("v2/model.txt")
    space.path("weights/cache").mkdir()
    host = Host(space)
    lines = host.lines("//a:app")
    assert {"weights/latest", "weights/best.txt", "weights/cache/"} <= set(lines)
    host.build(host.staged(lines), lines, "--offline", label="//a:app")
    assert host.digest() == space.build("//a:app").digests["//a:app"]


def test_several_platforms_are_an_index(space: Space) -> None:
    space.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    space.remove("oci.base-linux-amd64.lock")
    for path in (space.root / "base").rglob("*"):
        if path.is_file():
            path.unlink()
    make_base(space.root / "base", platforms=("linux/amd64", "linux/arm64"))
    space.run("lock", "//...")
    host = Host(space)
    assert host.target("//a:app")["platform"] == "linux/amd64,linux/arm64"
    lines = host.lines("//a:app")
    host.build(host.staged(lines), lines, "--offline", "--layout", label="//a:app")
    assert "index" in json.loads((host.folder / "out/descriptor.json").read_text())["mediaType"]
    space.run("export", "//a:app", "-o", str(space.folder / "exported"))
    index = json.loads((space.folder / "exported/index.json").read_text())
    assert host.digest() == index["manifests"][0]["digest"]
    one = host.lines("//a:app", "--platform", "linux/amd64")
    host.build(space.root, one, "--offline", "--platform", "linux/amd64", label="//a:app", out="one")
    images = json.loads((host.folder / f"out/layout/blobs/sha256/{host.digest()[7:]}").read_text())["manifests"]
    assert host.digest("one") == images[0]["digest"]


def test_a_base_of_a_registry_is_content(tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path, wheelhouse).populate()
    space.build()  # from now on the store has what the registry would be asked for
    blobs = {path.name: path for path in (space.root / "base/blobs/sha256").iterdir()}
    index = json.loads((space.root / "base/index.json").read_text())
    connections = "connections: {ours: {type: container_registry, target: 'registry.test:1', plain_http: true}}"
    space.edit("BUILD.yaml", "workspace:\n", f"workspace:\n  {connections}\n")
    host, before = Host(space), "layout: base"
    for server in ("[::1]:1", "registry.test:1"):
        image = f'image: "{server}/layoutlm-base@{index["manifests"][0]["digest"]}"'
        space.edit("BUILD.yaml", before, image)
        before = image
        space.run("lock", "//...")
        target = host.target()
        base = [row for row in target["content"] if row["sha256"] in blobs]
        assert len(base) == 3
        assert all(row["urls"][0].startswith(f"http://{server}/v2/layoutlm-base/") for row in base)
    wheels = host.content(row for row in target["content"] if row not in base)
    lines = [*target["files"], *wheels, *(f"sha256:{row['sha256']}  {blobs[row['sha256']]}" for row in base)]
    host.build(space.root, lines, "--offline", "--layout")
    assert host.digest() == space.build().digest
    for row in base[::2]:
        kept = [line for line in lines if row["sha256"] not in line]
        host.build(space.root, kept, "--offline", code=3).said("nothing is fetched", row["sha256"], "//:app wants")


def test_wheels_of_the_workspace_are_files_and_indexes_are_asked_on_request(space: Space) -> None:
    host = Host(space)
    assert not any(row["urls"] for row in host.target("//a:app")["content"])
    asked = {row["name"]: row["urls"] for row in host.target("//a:app", "--urls")["content"]}
    assert asked and all(len(urls) == 1 and urls[0].endswith(f"/{name}") for name, urls in asked.items())
    name = "numlib-1.0-py3-none-any.whl"
    space.write(name, (space.wheels / name).read_bytes())  # beside the lock
    lines = host.lines("//a:app")
    assert name in lines and not any(line.startswith("sha256:") and name in line for line in lines)
    host.build(host.staged(lines), lines, "--offline", label="//a:app")
    assert host.digest() == space.build("//a:app").digests["//a:app"]


def test_a_plugin_is_an_input(tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path, wheelhouse).populate()
    space.edit("BUILD.yaml", "workspace:\n", "workspace:\n  plugins: [tools.kinds]\n")
    space.write("tools/__init__.py", "")
    space.write("tools/kinds.py", "import tools.helper\n")
    space.write("tools/helper.py", "")
    space.run("lock", APP)
    done = space.process("guest", "inputs", APP, "--root", ".")
    (target,) = json.loads(done.out)["targets"]
    assert {"tools/__init__.py", "tools/kinds.py", "tools/helper.py"} <= set(target["files"])
    host = Host(space)
    lines = [*target["files"], *host.content(target["content"])]
    host.build(host.staged(lines), lines, "--offline")
    assert host.digest() == json.loads(space.process("build", APP, "--json").out)["targets"][0]["digest"]
    host.build(space.root, [line for line in lines if "kinds" not in line], "--offline", code=3).said(
        "'tools/kinds.py'"
    )
    worker = Worker(space)
    words = host.arguments(space.root, lines, "--offline", out="worker")
    before = host.digest()
    worker.build(words)
    assert host.digest("worker") == before
    space.write("tools/helper.py", "raise SystemError('broken')\n")
    assert "the plugin 'tools.kinds' cannot be imported" in worker.build(words, code=2)
    os.mkfifo(space.folder / "begun")
    space.write(
        "tools/helper.py", f"import threading\nopen({str(space.folder / 'begun')!r}, 'w')\nthreading.Event().wait()\n"
    )
    worker.send(arguments=words, requestId=8)
    (space.folder / "begun").read_text()  # until it is opened there as well
    worker.send(requestId=8, cancel=True)
    assert worker.answer() == {"exitCode": 0, "output": "", "wasCancelled": True, "requestId": 8}
    assert worker.end() == 0
    assert not list(space.folder.glob(".buildrules-*"))


def test_folders_of_a_template_that_the_target_does_not_need_are_not_declared(space: Space) -> None:
    app = "rule: model_package, base_env: '//:env', server: '//:server', code: '//a:code'"
    template = (
        "for_each:\n  folders: FOLDERS\n  targets:\n    '{name}': {rule: model, path: '{folder}'}\n"
        f"    '{{name}}-app': {{{app}, model: ':{{name}}'}}\n  override: {{two: {{two: {{tags: [slow]}}}}}}\n"
    )
    for name in ("one", "two"):
        space.write(f"many/{name}/model.txt", f"{name}\n")
    host = Host(space)
    for folders in ("'*'", "[one, two]"):
        space.write("many/BUILD.yaml", template.replace("FOLDERS", folders))
        space.run("lock", "//...")
        lines = host.lines("//many:one-app")
        assert "many/one/model.txt" in lines and "many/two/model.txt" not in lines
        for root in (space.root, host.staged(lines, f"staged{len(folders)}")):
            host.build(root, lines, "--offline", label="//many:one-app")
            assert host.digest() == space.build("//many:one-app").digests["//many:one-app"]


def test_requirements_that_include_others_are_read_through_the_links_of_a_host(space: Space) -> None:
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements_file: wanted/all.txt")
    space.write("wanted/all.txt", "-r more.txt\n-c limits.txt\n")
    space.write("wanted/more.txt", "numlib\n")
    space.write("wanted/limits.txt", "numlib==1.0\n")
    space.run("lock", "//...")
    host = Host(space)
    lines = host.lines("//a:app")
    assert {"wanted/all.txt", "wanted/more.txt", "wanted/limits.txt"} <= set(lines)
    host.build(host.staged(lines), lines, "--offline", label="//a:app")
    assert host.digest() == space.build("//a:app").digests["//a:app"]


def test_blobs_of_a_base_layout_that_are_not_declared_are_said_to_be(space: Space) -> None:
    host = Host(space)
    lines = host.lines("//a:app")
    blobs = [line for line in lines if line.startswith("base/blobs/")]
    assert len(blobs) == 3
    for blob in blobs:
        kept = [line for line in lines if line != blob]
        host.build(space.root, kept, "--offline", label="//a:app", code=3).said(f"not declared: '{blob}'")


def test_what_plugins_import_otherwise_than_a_plain_build_is_an_error(tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path, wheelhouse).populate()
    space.edit("BUILD.yaml", "workspace:\n", "workspace:\n  plugins: [tools.kinds]\n")
    space.write("tools/__init__.py", "")
    space.write("tools/kinds.py", "import colorsys\nimport tools.helper\n")
    space.write("tools/helper.py", "")
    space.run("lock", APP)
    (target,) = json.loads(space.process("guest", "inputs", APP, "--root", ".").out)["targets"]
    host = Host(space)
    lines = [*target["files"], *host.content(target["content"])]
    for name in ("tools/helper.py", "tools/__init__.py"):
        kept = [line for line in lines if line != name]
        host.build(space.root, kept, "--offline", code=3).said(f"not declared: '{name}'")
    host.build(space.root, lines, "--offline")
    for late in ("tools/helper/__init__.py", "colorsys.py"):
        space.write(late, "")
        host.build(space.root, lines, "--offline", code=3).said(f"not declared: '{late}'")
        host.build(host.staged(lines, late.replace("/", "-")), lines, "--offline")
        space.remove(late)
