"""`export-to bazel`: what stands in BUILD.bazel files, whose they are, and what names can do to them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.errors import UsageError
from buildrules.hosts import bazel
from buildrules.hosts.export import Export, Target
from tests.support.space import APP, Space

RULES = Path(__file__).parents[2] / "integrations" / "bazel"


def exported(target: Target, present: dict[str, str] | None = None, root: str = "/ws") -> dict[str, str]:
    there = present or {}
    return dict(bazel.files(Export(root, "/ws", [target], (), (), ["", "models"], there.get)))


def target(label: str = "//models:app", *files: str, content: tuple[str, ...] = ()) -> Target:
    rows = [{"name": f"{name}.whl", "sha256": name, "size": 1, "urls": []} for name in content]
    return Target(label, "linux/amd64", files, (), rows)


def evaluated(text: str) -> list[tuple[str, dict[str, object]]]:
    """What a BUILD.bazel calls: Starlark is Python as far as these files go."""
    calls: list[tuple[str, dict[str, object]]] = []

    def called(rule: str) -> Callable[..., None]:
        return lambda *words, **given: calls.append((rule, {"words": words, **given}))

    exec(text, {rule: called(rule) for rule in ("model_image", "exports_files", "load")})
    return calls


def test_what_bazel_gets_is_what_the_target_is_made_of(built: Space) -> None:
    built.run("export-to", "bazel").said(
        "BUILD.bazel", "2 of 2 files changed", "warning: 3 files have no address: give content_repositories mirrors"
    )
    inputs = json.loads(built.run("guest", "inputs", APP, "--root", ".").out)["targets"][0]
    ((_, given),) = [call for call in evaluated(built.path("BUILD.bazel").read_text()) if call[0] == "model_image"]
    assert given["srcs"] == inputs["files"]
    assert (given["name"], given["target"]) == ("app", APP)
    table = json.loads(built.path("buildrules_content.bzl").read_text().partition("CONTENT = ")[2])
    group = [digest for name in table["targets"]["app"] for digest in table["groups"][name]]
    assert set(group) == set(table["files"]) == {row["sha256"] for row in inputs["content"]}


def test_modes_that_a_host_loses_are_those_of_the_export(built: Space, tmp_path: Path) -> None:
    built.path("src/helper.py").chmod(0o755)
    digest = built.build().digest
    built.run("export-to", "bazel")
    ((_, given),) = [call for call in evaluated(built.path("BUILD.bazel").read_text()) if call[0] == "model_image"]
    assert given["executables"] == ["src/helper.py"]
    row = json.loads(built.run("guest", "inputs", APP, "--root", ".").out)["targets"][0]
    for path in row["files"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(built.path(path).read_bytes())
        (tmp_path / path).chmod(0o755)  # as machines that are sent it have it
    content = [f"sha256:{one['sha256']}  {built.wheels / one['name']}" for one in row["content"]]
    (tmp_path / "in").write_text("\n".join([*row["files"], *content]))
    (tmp_path / "in.executables").write_text("src/helper.py\n")
    words = ["guest", "build", APP, "--root", ".", "--inputs", "in", "--out", "out", "--offline"]
    command = [sys.executable, str(RULES / "main.py"), str(RULES.parents[1]), *words]
    subprocess.run(command, cwd=tmp_path, env={"TMPDIR": str(tmp_path)}, check=True)
    assert (tmp_path / "out" / "digest").read_text().strip() == digest
    assert not list(tmp_path.glob(".buildrules-*"))


def test_check_names_what_differs_and_writes_nothing(built: Space) -> None:
    built.run("export-to", "bazel", "--check", code=1).said("BUILD.bazel", "buildrules_content.bzl", "2 of 2 files")
    assert not built.path("BUILD.bazel").exists()
    built.run("export-to", "bazel")
    built.run("export-to", "bazel", "--check").said("0 of 2 files would change")
    built.write("src/new.py", "")
    before = built.tree()
    assert built.run("export-to", "bazel", "--check", code=1).out == "BUILD.bazel\n"
    assert built.tree() == before


def test_what_others_wrote_is_kept(built: Space) -> None:
    mine = 'genrule(name = "mine", outs = ["x"], cmd = "touch $@")\n'
    built.write("BUILD.bazel", mine)
    built.run("export-to", "bazel")
    text = built.path("BUILD.bazel").read_text()
    assert text.startswith(mine)
    built.write("BUILD.bazel", f"# first\n{text}# last\n")
    built.write("src/new.py", "")
    built.run("export-to", "bazel")
    after = built.path("BUILD.bazel").read_text()
    assert after.startswith(f"# first\n{mine}")
    assert after.endswith("# last\n")
    assert after.count("model_image(") == 1
    assert '"src/new.py"' in after


def test_sections_of_packages_without_targets_go() -> None:
    old = exported(target("//models:app", "models/BUILD.yaml"))
    assert set(old) == {"models/BUILD.bazel", bazel.CONTENT}
    moved = exported(target("//:app", "BUILD.yaml"), old)
    assert moved["models/BUILD.bazel"] == ""
    kept = exported(target("//:app", "BUILD.yaml"), {"models/BUILD.bazel": f"# mine\n{old['models/BUILD.bazel']}"})
    assert kept["models/BUILD.bazel"].strip() == "# mine"


def test_files_belong_to_the_nearest_package_of_bazel() -> None:
    made = exported(
        target("//models:app", "BUILD.yaml", "bases/BUILD.yaml", "models/app/src/a.py", "models/app/b.py"),
        {"models/app/src/BUILD": "# somebody's\n"},
    )
    assert set(made) == {"BUILD.bazel", "models/BUILD.bazel", "models/app/src/BUILD", bazel.CONTENT}
    ((_, given),) = [call for call in evaluated(made["models/BUILD.bazel"]) if call[0] == "model_image"]
    assert given["srcs"] == ["//:BUILD.yaml", "//:bases/BUILD.yaml", "//models/app/src:a.py", "app/b.py"]
    ((_, shown),) = evaluated(made["BUILD.bazel"])
    assert shown["words"] == (["BUILD.yaml", "bases/BUILD.yaml"],)
    assert made["models/app/src/BUILD"].startswith("# somebody's\n")


def test_a_workspace_below_the_root_of_bazel() -> None:
    made = exported(target("//models:app", "BUILD.yaml", "models/BUILD.yaml"), root="/ws/ml")
    ((_, given),) = [call for call in evaluated(made["ml/models/BUILD.bazel"]) if call[0] == "model_image"]
    assert (given["root"], given["srcs"]) == ("ml", ["//ml:BUILD.yaml", "BUILD.yaml"])


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/:\\\x7f", min_codepoint=32), min_size=1).filter(
        lambda name: name not in (".", "..")
    )
)
def test_names_are_texts_and_nothing_else(name: str) -> None:
    made = exported(target("//models:app", f"models/{name}"))
    ((_, given),) = [call for call in evaluated(made["models/BUILD.bazel"]) if call[0] == "model_image"]
    (label,) = given["srcs"]
    assert label in (name, f"//models:{name}")


@pytest.mark.parametrize("name", ["a:b", "a\nb", "a\\b", "a\0b", "a\udc80b"])
def test_names_that_no_label_can_have_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        exported(target("//models:app", f"models/{name}"))
    assert repr(f"models/{name}") in caught.value.message


def test_what_comes_together_is_one_group() -> None:
    both, one = "a" * 64, "b" * 64
    targets = [target("//:one", content=(both, one)), target("//:two", content=(both,))]
    text = bazel.files(Export("/ws", "/ws", targets, (), (), [""], {}.get))[bazel.CONTENT]
    table = json.loads(text.partition("CONTENT = ")[2])
    assert table["groups"] == {both: [both], one: [one]}
    assert table["targets"] == {"one": [both, one], "two": [both]}


def test_no_link_leads_elsewhere(built: Space, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("secret")
    built.path("BUILD.bazel").symlink_to(other)
    built.run("export-to", "bazel", code=2).said("cannot read 'BUILD.bazel'", "a link leads out of the workspace")
    assert other.read_text() == "secret"
    built.remove("BUILD.bazel")
    built.path("buildrules_content.bzl").symlink_to(tmp_path / "missing")
    built.run("export-to", "bazel")
    assert not (tmp_path / "missing").exists()


def test_an_install_is_tidied_to_the_same_bytes_everywhere(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there"):
        site = tmp_path / place / "site"
        info = site / "x-1.dist-info"
        info.mkdir(parents=True)
        (site / "bin").mkdir()
        (site / "bin" / "x").write_text(f"#!/{place}/python")
        (info / "RECORD").write_text(place)
        (info / "METADATA").write_text("Name: x\n")
        (site / "x.py").write_text("number = 1\n")
        subprocess.run([sys.executable, str(RULES / "tidy.py"), "site", "version"], cwd=site.parent, check=True)
        files = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
        found.append((files, (site.parent / "version").read_text()))
    assert found[0] == found[1]
    assert {re.sub(r"\.cpython-\d+", "", str(path)) for path in found[0][0]} == {
        "x-1.dist-info/METADATA",
        "x.py",
        "__pycache__/x.pyc",
    }
