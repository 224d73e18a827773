"""The kind "model_layers": the files of a model as layers, each large file a layer of its own."""

import hashlib
from collections.abc import Sequence

from buildrules.actions.pack import file_parts, layer_path, pack, pack_as, source_of
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

LABEL = "buildrules.model.digest."
"""In front of the model's name: the label that holds the digest of a model."""


class ModelLayers:
    """Params: `prefix`, where the model goes in the image, and `name`, what a person calls it. One source set.

    Outputs the layers: large files in the order of their names, then shared ones, then one of all small files. A large
    file whose layer digest is known (`SourceFile.as_layer`) is not read again unless a sample says that compressing
    it pays. No blob of a large file is written. Values: `bytes`, the size of the model's files, `files`, how many, and
    `labels`: the digest over the diff_ids of the layers, which says that two images have the same model at one place.
    """

    name = "model_layers"
    version = 2

    def run(self, action: Action, sources: list[list[SourceFile]], deps: list[Outputs], context: Context) -> Outputs:
        """Make the layers."""
        (files,) = sources
        prefix: str = action.params["prefix"]
        title: str = action.params["name"]
        known = action.sources[0].layer_prefix
        usable = known is not None and known.strip("/") == prefix.strip("/")
        return lay(files, prefix, title, context, usable=usable)


def lay(files: Sequence[SourceFile], prefix: str, title: str, context: Context, *, usable: bool = False) -> Outputs:
    """The layers of a model's files below `prefix`: of the workspace, or of the store where they have no path there.

    `usable` says that digests of large files `as_layer` are those of layers below this very prefix.
    """
    own, shared, small = divide(files)
    layers = [_own_layer(file, prefix, context, f"{title}/{file.name}", usable) for file in own]
    layers.extend(
        pack_as(_codec(group, context), file_parts(group, prefix), context, f"{title}, {len(group)} files")
        for group in shared
    )
    if small or not layers:
        layers.append(pack(small, prefix, context, f"{title}, small files"))
    digest = hashlib.sha256("\n".join(layer.diff_id for layer in layers).encode()).hexdigest()
    values = {"bytes": sum(file.size for file in files), "files": len(files)}
    return Outputs(layers=layers, values={**values, "labels": {f"{LABEL}{title}": f"sha256:{digest}"}})


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
    return choose_codec([(sources.path(source_of(file)), file.size) for file in files])
