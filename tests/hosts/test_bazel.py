"""Packages as targets of Bazel: one digest, from declared inputs alone, kept and run again only as needed.

All in one workspace and with one server of Bazel's: it starts in seconds, and takes its memory.
"""

import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oci.registry.servers import registry
from tests.support.bazel import ANOTHER, REPOSITORY, Bazel, bazel_program
from tests.support.package_tests import TEST, answering
from tests.support.space import APP, Space, make_wheels, wheel

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.xdist_group("bazel")]

WEIGHTS = 5 << 20
SECOND = """\
  other_model: {rule: model, path: other}
  other: {rule: model_package, model: ":other_model", base_env: ":env", server: ":server", code: ":code"}
"""
BY_HAND = """\
load("@buildrules//:defs.bzl", "model_image_push", "model_test")

model_test(name = "test", image = ":app", target = "//:app_test", size = "small")
"""


@pytest.fixture(scope="module")
def bazel(tmp_path_factory: pytest.TempPathFactory, busybox: bytes) -> Iterator[Bazel]:
    """A package with large weights and a large wheel, exported."""
    folder = tmp_path_factory.mktemp("ws")
    wheels = make_wheels(folder / "wheels")
    name, data = wheel("numlib", "1.0", extra=os.urandom(WEIGHTS))
    (wheels / name).write_bytes(data)
    space = answering(Space(folder, wheels).populate(), busybox)
    space.write("weights/model.bin", os.urandom(WEIGHTS))
    space.append("BUILD.yaml", TEST)
    space.run("build", APP)
    space.run("export-to", "bazel")
    made = Bazel(bazel_program(tmp_path_factory.mktemp("bazel")), space)
    made.declare()
    made.build(APP)
    yield made
    made.run("shutdown")


def test_the_same_image_in_a_sandbox_without_network_or_home(bazel: Bazel) -> None:
    assert bazel.digest() == bazel.space.build().digest
    (run,) = bazel.runs()
    assert "HOME" not in run.variables
    assert run.network != os.readlink("/proc/self/ns/net")  # one of its own, in which nothing is
    assert run.written < WEIGHTS  # no byte of the weights: other layers have half of that


def test_nothing_is_read_but_the_declared_inputs(bazel: Bazel) -> None:
    bazel.space.append("src/score", "# one more line\n")
    bazel.build(APP)
    (run,) = bazel.runs()
    root, execution = str(bazel.space.root), bazel.info("execution_root")
    declared = set(bazel.space.path("bazel-bin/app.inputs").read_text().splitlines())
    files = {line for line in declared if not line.startswith("sha256:")}
    content = {line.rpartition("/")[2] for line in declared - files}
    machine = (sys.base_prefix, "/proc/", "/etc/", "/sys/", "/dev/", "/lib", "/usr/lib/", "/usr/share/")
    tool = (str(REPOSITORY), sysconfig.get_path("purelib"), str(bazel.folder / "tool"), "external/buildrules")
    private = re.compile(
        r"/tmp/\.buildrules-\w+(?:/tree/|/store/.*|$)"
    )  # of this build alone: what it lays out, and its store
    read = set()
    for path in run.opened:
        place = private.sub("", os.path.normpath(os.path.join(run.directory, path)))
        top = next((top for top in (run.directory, execution, root) if place.startswith(f"{top}/")), "")
        read.add(place.removeprefix(f"{top}/") if top else place)
    read = {path for path in read if not path.startswith((*machine, *tool, "bazel-out/"))} - {""}
    assert {path for path in read - files if path.rpartition("/")[2] not in content} == set()
    assert {"BUILD.yaml", "src/score", "weights/model.bin"} <= read  # the trace has what is read


def test_an_edit_runs_one_action_and_none_is_run_again(bazel: Bazel) -> None:
    bazel.build("//:all")
    bazel.runs()
    bazel.build("//:all")
    assert bazel.runs() == []
    before = bazel.digest()
    bazel.space.append("src/score", "# edited\n")
    bazel.build("//:all")
    assert len(bazel.runs()) == 1
    assert bazel.digest() == bazel.space.build().digest != before
    bazel.run("clean")
    bazel.build("//:all")
    assert bazel.runs() == []  # from the disk cache


def test_a_second_model_with_the_same_environment_adds_its_own_layers_only(bazel: Bazel) -> None:
    bazel.build(APP, "--output_groups=layout")
    layout = bazel.space.path("bazel-bin/app.layout/layout")
    assert layout.joinpath("blobs", *bazel.digest().split(":")).is_file()
    before = bazel.cached()
    assert before > 2 * WEIGHTS
    bazel.space.append("BUILD.yaml", SECOND)
    bazel.space.write("other/model.txt", "2\n")
    bazel.space.run("export-to", "bazel", "--check", code=1).said("BUILD.bazel", "2 of 2 files would change")
    bazel.space.run("export-to", "bazel")
    bazel.space.run("export-to", "bazel", "--check")
    bazel.build("//:other", "--output_groups=+layout")
    assert bazel.cached() - before < 1 << 20
    assert bazel.digest("other") == bazel.space.build("//:other").digests["//:other"]


def test_a_package_is_tested_and_pushed(bazel: Bazel, tmp_path: Path) -> None:
    exported = bazel.space.path("BUILD.bazel").read_text()
    with registry(tmp_path / "registry") as host:
        push = f'model_image_push(name = "push", image = ":app", repository = "{host}/team/app", names = ["1"])\n'
        bazel.space.write("BUILD.bazel", f"{BY_HAND}{push}\n{exported}")
        bazel.space.run("export-to", "bazel", "--check")  # what was written by hand is none of its business
        assert "1 passed" in bazel.test("//:test")
        bazel.start("//:push")
        bazel.space.run("copy", f"{host}/team/app:1", f"oci-layout:{tmp_path}/back").said(bazel.digest())
    bazel.space.edit("BUILD.yaml", "numbers: [1, 2.5]", "numbers: [1, 3.5]")
    assert "numbers" in bazel.test("//:test", code=3)
    bazel.space.edit("BUILD.yaml", "numbers: [1, 3.5]", "numbers: [1, 2.5]")


def test_a_new_file_is_missing_in_the_exported_files_until_they_are_written_again(bazel: Bazel) -> None:
    bazel.space.write("src/late.py", "")
    bazel.space.run("export-to", "bazel", "--check", code=1).said("BUILD.bazel")
    bazel.space.run("export-to", "bazel")
    bazel.build(APP)
    assert bazel.digest() == bazel.space.build().digest


def test_pip_fills_the_repository_of_the_tool(bazel: Bazel) -> None:
    name, data = wheel("buildrules", "9.9")
    bazel.space.write(f"feed/{name}", data)
    bazel.space.write("requirements.txt", f"./feed/{name}\n")  # which is not where pip would look by itself
    bazel.space.append(
        "WORKSPACE",
        'load("@buildrules//:repositories.bzl", "buildrules_install")\n'
        f'buildrules_install(name = "installed", requirements_file = "//:requirements.txt", '
        f'python = "{sys.executable}", pip_arguments = ["--no-index"])\n',
    )
    bazel.build("@installed//:tool")
    folder = Path(bazel.info("output_base")) / "external" / "installed"
    assert sorted(path.name for path in (folder / "site").iterdir()) == ["buildrules", "buildrules-9.9.dist-info"]
    assert not (folder / "site" / "buildrules-9.9.dist-info" / "RECORD").exists()  # which has digests of programs
    worker = "worker = True" in (folder / "BUILD.bazel").read_text()
    assert worker == (ANOTHER in os.environ)  # Bazel 2.1 would speak another protocol


if ANOTHER in os.environ:  # workers that speak JSON are known from Bazel 4.2 on

    def test_a_worker_builds_many_and_the_same(bazel: Bazel) -> None:
        place = bazel.folder / "tool" / "BUILD.bazel"
        place.write_text(place.read_text().replace("site =", "worker = True, site ="))
        bazel.space.append("src/score", "# for workers\n")
        bazel.runs()
        bazel.build("//:app", "//:other", "--strategy=ModelImage=worker", "--worker_max_instances=ModelImage=1")
        assert (bazel.digest(), bazel.digest("other")) == tuple(
            bazel.space.build("//:app", "//:other").digests[label] for label in ("//:app", "//:other")
        )
        bazel.run("shutdown")  # which ends the worker
        assert len(bazel.runs()) == 1
