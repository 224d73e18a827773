"""The requests and the job of a `package_test` target: where they stand in their file, and the files they name."""

from collections.abc import Iterator

from buildrules.document.nodes import Node
from buildrules.errors import Position
from buildrules.rules.resolve import ResolvedTarget


def node_of(target: ResolvedTarget, index: int) -> Node | None:
    """The request `index` as it was written."""
    return target.target.attributes["requests"].find((index,)) if target.target is not None else None


def at(node: Node | None, *path: str | int) -> Position | None:
    """Where the value at `path` in a request or a job stands; what is around it where it was not given."""
    return node.find(path).position if node is not None else None


def files_named(target: ResolvedTarget) -> Iterator[tuple[str, Position | None]]:
    """The files a target names, workspace-relative, and where it names them."""
    for index, row in enumerate(target.values["requests"] or ()):
        node = node_of(target, index)
        if "file" in row:
            yield row["file"], at(node, "file")
        if "file" in (row.get("expect") or {}):
            yield row["expect"]["file"], at(node, "expect", "file")
    job = target.values["job"]
    if job is not None:
        node = target.target.attributes["job"] if target.target is not None else None
        yield job["input"], at(node, "input")
        for index, row in enumerate(job.get("output") or ()):
            if "file" in row:
                yield row["file"], at(node, "output", index, "file")
