"""Other build tools on the same files: ninja, Bazel (with its server warm), turbo and doit.

Each gets three steps a package: one reads the model, one the code, and one both results and the BUILD.yaml. A tool that
is not installed is fetched from its registry (npm, the Python index) into a folder of the user's; where that cannot be,
it is left out with a word. ninja compares modification times only; the others know contents. turbo starts npm for each
package, a third of a second, so it gets a hundred of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.common import RACY
from benchmarks.process import Sample, sample, spend

TOOLS = Path(tempfile.gettempdir()) / f"buildrules-benchmark-tools-{os.getuid()}"
EDITED = "src/score.py"
MOST = {"turbo": 100}
"""Tools that get so many packages at most."""


def _files(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(package, its model files, its code files) of a workspace."""
    for package in sorted(path for path in folder.iterdir() if (path / "model").is_dir()):
        found = [
            sorted(str(path.relative_to(folder)) for path in (package / part).rglob("*") if path.is_file())
            for part in ("model", "src")
        ]
        yield package.name, found[0], found[1]


def ninja(folder: Path) -> list[str]:
    """Debian's ninja-build, or whatever is on PATH."""
    text = "rule digest\n  command = cat $in | sha256sum > $out\n"
    for name, model, code in _files(folder):
        text += f"build out/{name}/model: digest {' '.join(model)}\nbuild out/{name}/code: digest {' '.join(code)}\n"
        text += f"build out/{name}/image: digest out/{name}/model out/{name}/code {name}/BUILD.yaml\n"
    (folder / "build.ninja").write_text(text)
    return ["ninja", "--quiet"]


def bazel(folder: Path) -> list[str]:
    """Bazel 2.1, the newest on npm; the server stays between commands."""
    _npm("@bazel/bazel@2.1.0")
    (program,) = (TOOLS / "node_modules" / "@bazel" / "bazel-linux_x64").glob("bazel-*")
    program.chmod(0o755)  # npm's own installation step does this, where it may run
    (folder / "WORKSPACE").write_text("")
    rule = 'genrule(name = "{}", srcs = {}, outs = ["{}.out"], cmd = "cat $(SRCS) | sha256sum > $@")\n'
    for name, _, _ in _files(folder):
        text = rule.format("model", 'glob(["model/**"])', "model") + rule.format("code", 'glob(["src/**"])', "code")
        (folder / name / "BUILD.bazel").write_text(
            text + rule.format("image", '[":model", ":code", "BUILD.yaml"]', "image")
        )
    return [
        str(program),
        f"--output_user_root={folder}-bazel",
        "build",
        "--spawn_strategy=local",
        "--noshow_progress",
        "//...",
    ]


def turbo(folder: Path) -> list[str]:
    """Turborepo 1, with its daemon off: one script a package."""
    _npm("turbo@1.11.3")
    (folder / "package.json").write_text(
        '{"name": "all", "private": true, "packageManager": "npm@9.2.0", "workspaces": ["p*"]}'
    )
    (folder / "turbo.json").write_text(
        '{"pipeline": {"build": {"inputs": ["model/**", "src/**", "BUILD.yaml"], "outputs": ["out"]}}}'
    )
    lock: list[str] = []
    for name, _, _ in _files(folder):
        script = "cat model/* src/*.py BUILD.yaml | sha256sum > out"
        (folder / name / "package.json").write_text(
            f'{{"name": "{name}", "version": "1.0.0", "scripts": {{"build": "{script}"}}}}'
        )
        lock.append(f'"{name}": {{"version": "1.0.0"}}')
    (folder / "package-lock.json").write_text(
        '{"name": "all", "lockfileVersion": 3, "packages": {' + ", ".join(lock) + "}}"
    )
    (folder / ".gitignore").write_text("out\n.turbo\n")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com"]
    subprocess.run(["git", *identity, "commit", "--quiet", "--message", "all"], cwd=folder, check=True)
    program = TOOLS / "node_modules" / ".bin" / "turbo"
    return [str(program), "run", "build", "--no-daemon", "--output-logs=none"]


def doit(folder: Path) -> list[str]:
    """doit: Python, and files compared by time and then MD5."""
    target = TOOLS / "doit"
    if not target.exists():
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", target, "doit"], check=True
        )
    rows = [(name, model, code) for name, model, code in _files(folder)]
    (folder / "dodo.py").write_text(f"""\
PACKAGES = {rows!r}
def task_build():
    for name, model, code in PACKAGES:
        steps = [("model", model), ("code", code)]
        steps.append(("image", [f"out/{{name}}/model", f"out/{{name}}/code", f"{{name}}/BUILD.yaml"]))
        for step, files in steps:
            out = f"out/{{name}}/{{step}}"
            command = f"mkdir -p out/{{name}}; cat {{' '.join(files)}} | sha256sum > {{out}}"
            yield {{"name": out, "actions": [command], "file_dep": files, "targets": [out]}}
""")
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(target)!r}); from doit.__main__ import main; sys.exit(main())",
        "-v0",
    ]


PEERS: dict[str, Callable[[Path], list[str]]] = {"ninja": ninja, "bazel": bazel, "turbo": turbo, "doit": doit}


def _npm(package: str) -> None:
    name = package.rpartition("@")[0]
    if not (TOOLS / "node_modules" / name).exists():
        TOOLS.mkdir(exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", TOOLS, package], check=True, capture_output=True)


def measure(name: str, workspace: Path, env: Mapping[str, str], runs: int) -> list[tuple[str, Sample]]:
    """An unchanged build and an edited file with one tool, in a copy of the workspace. Empty where it cannot be had."""
    folder = workspace.parent / f"peer-{name}"
    packages = [package for package, _, _ in _files(workspace)][: MOST.get(name)]
    for package in packages:
        shutil.copytree(workspace / package, folder / package)
    command: list[str] = []
    try:
        command = PEERS[name](folder)
        spend(command, folder, env)
        time.sleep(RACY)
        spend(command, folder, env)
        script = folder / packages[0] / EDITED

        def edit(run: int) -> None:
            with open(script, "a") as file:
                file.write(f"# edit {run}\n")

        unchanged = sample(lambda: spend(command, folder, env), runs=runs)
        edited = sample(lambda: spend(command, folder, env), runs=runs, before=edit)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} is left out: {error}")
        return []
    finally:
        if name == "bazel" and command and os.access(command[0], os.X_OK):
            subprocess.run([*command[:2], "shutdown"], cwd=folder, env=dict(env), check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(f"{folder}-bazel", ignore_errors=True)
    title = f"{name} ({len(packages)} packages)" if name in MOST else name
    return [(f"{title}, unchanged", unchanged), (f"{title}, one file edited", edited)]
