"""A task in a folder, for engines that lay out files before a program runs and gather files after it.

task.json        the bytes of the task (`executors.task`)
workspace/       the files of the step, by their paths in the workspace
store/           a store with the content that the task names
answer.json      written: the answer (`executors.answer`)
out/             written: the content that was made and is not in the store above, each called by its 64 hex digits
"""

from buildrules.executors.task import Task
from buildrules.remote.backend import Blob
from buildrules.store.blobs import hex_of

TASK, WORKSPACE, STORE, ANSWER, OUT = "task.json", "workspace", "store", "answer.json", "out"


def laid(task: Task) -> dict[str, Blob]:
    """Where the content that a task needs lies, by paths in its folder."""
    files = {f"{WORKSPACE}/{path}": blob for path, blob in task.files.items()}
    for blob in task.content:
        name = hex_of(blob.digest)
        files[f"{STORE}/blobs/sha256/{name[:2]}/{name}"] = blob
    return files
