"""Every module that opens files, and why no link of a workspace can lead it elsewhere (D8)."""

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "buildrules"

REASONS = {
    "what a workspace names, whose links are checked": """
        state/rows.py                          `open_regular`, below `read_inside` and `Disk`: the one way to such
        plugins.py                             modules that were imported, after `check_inside`
        locking/keeper.py                      the first line of a lock, which is compared
        locking/python/projects.py             hashed; the copies for the resolver are checked
        locking/python/request.py              `workspace_path` has followed the links
        locking/python/requirement.py          `workspace_path` has followed the links
        locking/standalone/choose.py           an archive of Python, checked before
        locking/debian/signature.py            `debian.keyring`, checked when the workspace is loaded; a verified text
        oci/layout.py                          `layout`, checked when a base is locked; else the command line's
        oci/source.py                          the same; what is read has the digest that is wanted
        store/lockfile.py                      locks, which the keeper checks
        actions/python/uv_settings.py          the root's, checked when the workspace is loaded; the user's
    """,
    "files of a step, of which globs have refused those that lead out, or blobs": """
        actions/compressible.py
        actions/entry_script.py
        actions/layer_files.py
        actions/linting.py
        actions/models/sound.py
        actions/testing.py
        cli/edits.py
        engine/hashing.py
        engine/inputs.py
        executors/away.py
        oci/parts/archive.py
        oci/parts/conda_package.py
        oci/parts/deb.py
        oci/reader.py
    """,
    "the store's, or this program's own": """
        actions/models/start.py
        actions/python/interpreter.py          what was unpacked; links in it are read as links
        executors/reapi/engine.py              that Python
        executors/reapi/tool.py                this Python, and what was laid of it
        locking/python/conda.py
        locking/standalone/builds.py           the table of an installed package
        locking/python/opened.py               what its own hook has written
        locking/python/resolution.py           what uv has written
        oci/docker_record.py
        report/builds.py                       logs of builds
        report/page.py                         the page's own files
        state/journal.py
        store/blobs.py
        store/store.py
        store/tablelog.py
    """,
    "the machine's, or its user's": """
        actions/debian/mirrors.py              apt's configuration
        actions/python/pip_settings.py         pip's configuration
        actions/debian/transport.py            what apt has fetched, and said
        credentials/secret.py                  a secret may lie anywhere; it is never shown
        remote/objects.py                      certificates that the workspace or a variable names
        remote/folder.py                       a shared folder; what is read has a digest or a signature
        net/client.py                          an index that is a folder; its files have a digest in the lock
        oci/docker_connect.py
        remote/rpc.py                          certificates to trust, of `Connections.certificates`
        cli/commands/setup.py                  whether a plugin of Docker is ours
        cli/doctor/surroundings.py             pants.toml, whose content nobody sees
        serving/kernel_file.py                 processes, control groups
        serving/rootfs/confinement.py          control groups
        start/registry.py
    """,
    "named on the command line": """
        cli/env_file.py
        guest/build.py                         an earlier result, which is compared
        executors/worker.py                    a task that an engine has laid out
        guest/declared.py
        guest/out.py                           what an earlier build wrote
        guest/worker.py                        files of arguments
        cli/writing.py                         the first line of what is to be replaced
        engine/step_file.py
        oci/archive_file.py
        oci/copying/into_layout.py
        oci/copying/origin.py
        oci/copying/received.py
        oci/whole_file.py                      parts that were left behind, which are only locked
    """,
    "an image's, opened without following its links, or one step after the other": """
        serving/rootfs/launcher.py
        serving/rootfs/log.py
        serving/rootfs/paths.py
        serving/rootfs/runner.py
    """,
    "downloads, in a container or the store": """
        start/__main__.py
        start/archive.py
        start/partial.py
        start/sources.py
    """,
}
LISTED = {line.split()[0] for lines in REASONS.values() for line in lines.strip().splitlines()}
OPENERS = {"open", "os.open", "io.open", "codecs.open", "os.fdopen"}
METHODS = {"read_text", "read_bytes"}
NOT_THESE = re.compile(r"'[wax]b?\+?'|'w\+b'|O_CREAT|os\.devnull|'/(?:proc|sys|etc)/")
"""Files that are written, and the system's."""


def opens(path: Path) -> bool:
    """Whether a module opens a file to read it."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(
        (
            OPENERS & {*map(ast.unparse, (call.func, *call.args))}
            or (isinstance(call.func, ast.Attribute) and call.func.attr in METHODS)
        )
        and not NOT_THESE.search(ast.unparse(call))
        for call in calls
    )


def test_d8_each_module_that_opens_files_is_known() -> None:
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.py") if opens(path)}
    assert found == LISTED, "say in the list why a link of a workspace cannot lead it elsewhere, or use `read_inside`"
