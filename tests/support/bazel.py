"""Bazel in a workspace, and buildrules as its tool, which notes what it reads."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.space import Space

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "integrations" / "bazel"
ANOTHER = "BUILDRULES_TEST_BAZEL"
"""The variable with another Bazel than that of npm; see `tests/hosts/bazel7.sh`."""
_PACKAGE = "@bazel/bazel-linux_x64@2.1.0"
_OPENED = re.compile(r'^\d+ +(?:open|openat)\((?:AT_FDCWD, )?"([^"]*)", ([A-Z_|]+)[^)]*\) = \d+')
_WRITTEN = re.compile(r"^\d+ +(?:write|pwrite64|sendfile|copy_file_range)\(.* = (\d+)")


def bazel_program(folder: Path) -> Path:
    """Bazel 2.1, as npm has it: one file. Without npm a failure in CI, else a skip."""
    if ANOTHER in os.environ:
        return Path(os.environ[ANOTHER])
    if shutil.which("npm") is None:
        assert not os.environ.get("CI"), "CI needs npm, for Bazel"
        pytest.skip("needs npm, for Bazel")
    subprocess.run(["npm", "pack", "--silent", _PACKAGE], cwd=folder, check=True, capture_output=True, timeout=200)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        (member,) = [one for one in archive.getmembers() if "bazel-2.1.0" in one.name]
        archive.extract(member, folder, filter="data")
    program = folder / member.name
    program.chmod(0o755)
    return program


class Run(NamedTuple):
    """One run of the tool: paths of files that it opened, bytes that it wrote, variables, and its network."""

    opened: set[str]
    written: int
    variables: dict[str, str]
    network: str
    directory: str


class Bazel:
    """A workspace of buildrules that is one of Bazel's as well. Its server ends with `shutdown`."""

    def __init__(self, program: Path, space: Space, *, traced: bool = True) -> None:
        self.program = program
        self.space = space
        self.folder = space.folder / "bazel"
        self.traces = self.folder / "traces"
        self.traces.mkdir(parents=True)
        self._tool(traced)
        self._stub()
        self._options = [] if "2.1.0" in program.name else ["--noenable_bzlmod"]
        self._more = ["--noshow_progress", f"--disk_cache={self.cache}"]
        self._more.append(f"--override_repository=remote_coverage_tools={self.folder}/coverage")
        self._more.append(f"--sandbox_writable_path={self.traces}")  # where the tool may write what it does

    @property
    def cache(self) -> Path:
        """The disk cache."""
        return self.folder / "cache"

    def _stub(self) -> None:
        """What Bazel would download for any test, and use for none of ours."""
        place = self.folder / "coverage"
        place.mkdir()
        (place / "WORKSPACE").touch()
        visible = 'visibility = ["//visibility:public"]'
        (place / "BUILD.bazel").write_text(f'filegroup(name = "coverage_report_generator", {visible})\n')

    def _tool(self, traced: bool) -> None:
        """A folder as pip fills it, of links, and an interpreter that writes down what it does if it is `traced`."""
        tool = self.folder / "tool"
        site = tool / "site"
        site.mkdir(parents=True)
        for name in ("buildrules", "rules"):
            (site / name).symlink_to(REPOSITORY / name)
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if path.name not in ("buildrules", "rules") and not path.name.endswith((".pth", ".egg-link")):
                (site / path.name).symlink_to(path)
        real = os.path.realpath(sys.executable)
        python = tool / "python" if traced else Path(real)
        if traced:
            python.write_text(
                f"#!/bin/sh\nat={self.traces}/$$\nenv > $at.env\npwd > $at.pwd\nreadlink /proc/self/ns/net > $at.net\n"
                "exec strace -f -qq -s 4096 -e trace=open,openat,write,pwrite64,sendfile,copy_file_range "
                f'-o $at.calls {real} "$@"\n'
            )
            python.chmod(0o755)
        (tool / "BUILD.bazel").write_text(
            'load("@buildrules//:defs.bzl", "buildrules_tool")\n'
            f'buildrules_tool(name = "tool", python = "{python}", site = "site", visibility = ["//visibility:public"])'
        )
        (tool / "WORKSPACE").touch()

    def declare(self) -> None:
        """Write the WORKSPACE file; the content comes from the wheelhouse."""
        self.space.write(
            "WORKSPACE",
            f'local_repository(name = "buildrules", path = "{RULES}")\n'
            f'local_repository(name = "buildrules_tool", path = "{self.folder}/tool")\n'
            'load("@buildrules//:repositories.bzl", "content_repositories")\n'
            'load("//:buildrules_content.bzl", "CONTENT")\n'
            f'content_repositories(CONTENT, mirrors = ["file://{self.space.wheels}/{{name}}"])\n',
        )

    def run(self, command: str, *words: str, code: int = 0) -> str:
        """Run a command of Bazel's; what it said."""
        options = [] if command == "shutdown" else self._options
        done = subprocess.run(
            [self.program, f"--output_user_root={self.folder}/root", "--max_idle_secs=120", command, *options, *words],
            cwd=self.space.root,
            env={"PATH": "/usr/bin:/bin", "USER": "somebody"},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def build(self, *words: str, code: int = 0) -> str:
        """Build targets in sandboxes."""
        return self.run("build", *self._more, "--spawn_strategy=linux-sandbox", *words, code=code)

    def test(self, *words: str, code: int = 0) -> str:
        """Build and test targets."""
        return self.run("test", *self._more, "--test_output=all", *words, code=code)

    def start(self, target: str, *words: str) -> str:
        """Build a program, and run it."""
        return self.run("run", *self._more, target, "--", *words)

    def digest(self, name: str = "app") -> str:
        """The digest of an image that was built, and that its descriptor has."""
        folder = self.space.path(f"bazel-bin/{name}.image")
        digest = (folder / "digest").read_text().strip()
        assert json.loads((folder / "descriptor.json").read_text())["digest"] == digest
        return digest

    def info(self, key: str) -> str:
        """A folder that Bazel tells of."""
        return next(line for line in self.run("info", key).splitlines() if line.startswith("/"))

    def cached(self) -> int:
        """Bytes in the disk cache."""
        return sum(path.stat().st_size for path in self.cache.rglob("*") if path.is_file())

    def runs(self) -> list[Run]:
        """What the tool did since this was last asked."""
        found = list(self._runs())
        for path in self.traces.iterdir():
            path.unlink()
        return found

    def _runs(self) -> Iterator[Run]:
        for path in sorted(self.traces.glob("*.calls")):
            lines = path.read_text(errors="replace").splitlines()
            opened = {found[1] for line in lines if (found := _OPENED.match(line)) and "O_DIRECTORY" not in found[2]}
            written = sum(int(found[1]) for line in lines if (found := _WRITTEN.match(line)))
            told = path.with_suffix(".env").read_text().splitlines()
            yield Run(
                opened,
                written,
                dict(line.split("=", 1) for line in told if "=" in line),
                path.with_suffix(".net").read_text().strip(),
                path.with_suffix(".pwd").read_text().strip(),
            )
