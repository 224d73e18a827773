"""The kind "model_layers": the files of a model as layers, each large file a layer of its own."""

import hashlib
from collections.abc import Sequence

from buildrules.actions.pack import file_parts, layer_path, pack, pack_as
from buildrules.engine.action import Action, Context, Outputs, SourceFile
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import file_layer
from buildrules.oci.codec import choose_codec
from buildrules.oci.descriptor import Layer
from buildrules.oci.parts import Sources
from buildrules.oci.recipe import LARGE_FILE

OWN = 40
SHARED = 8
"""At most OWN + SHARED layers hold large files; of more files than that, the OWN largest have layers of their own."""


class ModelLayers:
    """Params: `prefix`, where the model goes in the image, and `name`, what a person calls it. One source set.

    Outputs the layers: large files in the order of their names, then shared ones, then one of all small files. A large
    file whose layer digest is known (`SourceFile.as_layer`) is not read again unless a sample says that compressing
    it pays. No blob of a large file is written. Values: `bytes`, the size of the model's files, and `files`, how many.
    """

    name = "model_layers"
    version = 1

    def run(self, action: Action, sources: list[list[SourceFile]], deps: list[Outputs], context: Context) -> Outputs:
        """Make the layers."""
        (files,) = sources
        prefix: str = action.params["prefix"]
        title: str = action.params["name"]
        known = action.sources[0].layer_prefix
        usable = known is not None and known.strip("/") == prefix.strip("/")
        own, shared, small = divide(files)
        layers = [_own_layer(file, prefix, context, f"{title}/{file.name}", usable) for file in own]
        layers.extend(
            pack_as(_codec(group, context), file_parts(group, prefix), context, f"{title}, {len(group)} files")
            for group in shared
        )
        if small or not layers:
            layers.append(pack(small, prefix, context, f"{title}, small files"))
        return Outputs(layers=layers, values={"bytes": sum(file.size for file in files), "files": len(files)})


def divide(
    files: Sequence[SourceFile],
) -> tuple[list[SourceFile], list[list[SourceFile]], list[SourceFile]]:
    """(files with layers of their own, groups that share one, small files), each by name.

    Stable: which group a file is in depends on its name alone, so a changed file changes one layer.
    """
    large = [file for file in files if file.size >= LARGE_FILE]
    small = sorted((file for file in files if file.size < LARGE_FILE), key=lambda file: file.name)
    groups: list[list[SourceFile]] = [[] for _ in range(SHARED)]
    if len(large) > OWN + SHARED:
        large.sort(key=lambda file: (-file.size, file.name))
        for file in sorted(large[OWN:], key=lambda file: file.name):
            groups[hashlib.sha256(file.name.encode()).digest()[0] % SHARED].append(file)
        del large[OWN:]
    return sorted(large, key=lambda file: file.name), [group for group in groups if group], small


def _own_layer(file: SourceFile, prefix: str, context: Context, title: str, usable: bool) -> Layer:
    if file.as_layer and usable and _codec([file], context) == "tar":
        part = recipes.workspace_file(layer_path(prefix, file.name), file.path, file.size, file.mode)
        return file_layer(part, file.digest, title)
    return pack_as(_codec([file], context), file_parts([file], prefix), context, title)


def _codec(files: Sequence[SourceFile], context: Context) -> str:
    sources = Sources(context.workspace, context.blobs)
    return choose_codec([(sources.path({"workspace": file.path}), file.size) for file in files])
