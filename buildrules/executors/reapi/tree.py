"""Input roots: files by their paths become Directory messages by digest (REAPI v2, message Directory)."""

from collections.abc import Mapping

from buildrules.executors.reapi.messages import DIRECTORY
from buildrules.remote.backend import Blob
from buildrules.remote.protobuf import Table, encode
from buildrules.remote.reapi import digest_message
from buildrules.sha256 import digest_of
from buildrules.typed import Any, NamedTuple


class Leaf(NamedTuple):
    """A file of an input root, or with `folder` a directory whose message is known already."""

    blob: Blob
    executable: bool = False
    folder: bool = False


class Messages(dict[Blob, bytes]):
    """Messages that are content, by digest."""

    def put(self, table: Table, message: Mapping[str, Any]) -> Blob:
        """Keep a message."""
        return self.keep(encode(table, message))

    def keep(self, data: bytes) -> Blob:
        """Keep bytes."""
        blob = Blob(digest_of(data), len(data))
        self[blob] = data
        return blob

    def tree(self, leaves: Mapping[str, Leaf]) -> Blob:
        """The directory that has `leaves` by their paths ("a/b")."""
        below: dict[str, dict[str, Leaf]] = {}
        files, folders = [], {}
        for path, leaf in leaves.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = leaf
            elif leaf.folder:
                folders[name] = leaf.blob
            else:
                files.append({"name": name, "digest": digest_message(leaf.blob), "is_executable": leaf.executable})
        folders |= {name: self.tree(inside) for name, inside in below.items()}
        rows = [{"name": name, "digest": digest_message(folders[name])} for name in sorted(folders)]
        files.sort(key=lambda row: str(row["name"]))
        return self.put(DIRECTORY, {"files": files, "directories": rows})
