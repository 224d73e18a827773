"""Runs buildrules for Bazel: `main.py SITE WORD...` as its command line, and a worker with --persistent_worker.

A word that begins with @ names a file with a word on each line. `main.py SITE --test INPUTS ROOT LABEL WORD...` tests
a package, from declared inputs alone.
"""

import os
import shutil
import sys


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
    report = ["--junit", os.environ["XML_OUTPUT_FILE"]] if "XML_OUTPUT_FILE" in os.environ else []
    return ["test", label, "--runner", "rootfs", "--locked", "--no-remote", *report, *more]


def place(path: str, to: str) -> None:
    """Have a file in another place, without a copy where the file system allows it."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    try:
        os.link(os.path.realpath(path), to)
    except OSError:
        shutil.copyfile(path, to)


if __name__ == "__main__":
    sys.path[0] = os.path.abspath(sys.argv[1])
    sys.argv[1:] = words(sys.argv[2:])
    from buildrules.__main__ import command

    command()
