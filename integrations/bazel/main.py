"""Runs buildrules for Bazel: `main.py SITE WORD...` as its command line, and a worker with --persistent_worker.

A word that begins with @ names a file with a word on each line. `main.py SITE --test INPUTS ROOT LABEL WORD...` tests
a package, from declared inputs alone.
"""

import os
import shutil
import sys
import tempfile


def words(arguments: list[str]) -> list[str]:
    """The words of the command line. A worker reads those of each build itself."""
    if "--persistent_worker" in arguments:
        return ["guest", "worker"]
    if arguments[0] == "--test":
        return laid_out(*arguments[1:])
    found: list[str] = []
    for word in arguments:
        if word.startswith("@"):
            with open(word[1:], encoding="utf-8") as file:
                found += file.read().splitlines()
        else:
            found.append(word)
    return found


def laid_out(inputs: str, root: str, label: str, *more: str) -> list[str]:
    """Lay out a workspace and a store of the declared inputs in the folder of the test, and go there."""
    folder = os.environ["TEST_TMPDIR"]
    workspace, store = os.path.join(folder, "workspace"), os.path.join(folder, "store")
    with open(inputs, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for line in lines:
        digest, _, path = line.partition("  ")
        if line.endswith("/"):
            os.makedirs(os.path.join(workspace, line), exist_ok=True)
        elif digest.startswith("sha256:") and path:
            name = digest.removeprefix("sha256:")
            place(path, os.path.join(store, "blobs", "sha256", name[:2], name))
        else:
            place(os.path.join(root, line), os.path.join(workspace, line))
    os.environ["BUILDRULES_CACHE_DIR"] = store
    os.chdir(workspace)
    if kept := os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR"):
        os.makedirs(store, exist_ok=True)
        os.symlink(kept, os.path.join(store, "logs"))  # the store goes with the test
        sys.stderr.write("logs are kept in test.outputs, beside test.log\n")
    report = ["--junit", os.environ["XML_OUTPUT_FILE"]] if "XML_OUTPUT_FILE" in os.environ else []
    return ["test", label, "--runner", "rootfs", "--locked", "--no-remote", *report, *more]


def with_modes(found: list[str]) -> str | None:
    """Lay the workspace out anew where its files have lost their modes: for remote execution all are executable.

    Changes the words of a build, and returns the folder if there is one. Beside the inputs stands which files are
    executable.
    """
    if found[:2] != ["guest", "build"]:
        return None
    root, inputs = found.index("--root") + 1, found[found.index("--inputs") + 1]
    with open(inputs, encoding="utf-8") as file:
        files = [line for line in file.read().splitlines() if not line.startswith("sha256:") and not line.endswith("/")]
    with open(f"{inputs}.executables", encoding="utf-8") as file:
        executables = set(file.read().splitlines())
    if not any(os.stat(os.path.join(found[root], path)).st_mode & 0o100 for path in files if path not in executables):
        return None
    folder = tempfile.mkdtemp(prefix=".buildrules-modes-")
    for path in files:
        to = os.path.join(folder, path)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copyfile(os.path.join(found[root], path), to)  # one that is a link to a cache has one mode only
        os.chmod(to, 0o755 if path in executables else 0o644)
    found[root] = folder
    return folder


def place(path: str, to: str) -> None:
    """Have a file in another place, without a copy where the file system allows it."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    try:
        os.link(os.path.realpath(path), to)
    except OSError:
        shutil.copyfile(path, to)


if __name__ == "__main__":
    sys.path[0] = os.path.abspath(sys.argv[1])
    found = words(sys.argv[2:])
    made = with_modes(found)
    sys.argv[1:] = found
    from buildrules.__main__ import command, main

    if made is None:
        command()
    try:
        code = main()
    finally:
        shutil.rmtree(made)
    sys.exit(code)
