"""The kind "model_layers": the files of a model as layers, each large file a layer of its own."""

import hashlib
from collections.abc import Sequence

from buildrules.actions.made import ModelMade
from buildrules.actions.models.sound import check_sound
from buildrules.actions.pack import compressible, file_parts, local_of, pack
from buildrules.actions.params import ModelParams, read
from buildrules.engine.action import Outputs, SourceFile, stored_blobs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.oci.assemble import known_layer
from buildrules.oci.descriptor import Layer
from buildrules.oci.paths import layer_path
from buildrules.oci.recipe import LARGE_FILE
from buildrules.sha256 import hex_digest

OWN = 40
SHARED = 8
"""At most OWN + SHARED layers hold large files; of more files than that, the OWN largest have layers of their own."""


class ModelLayers:
    """The layers: large files in the order of their names, then shared ones, then one of all small files, and one of
    links and empty folders where there are any. Files whose layer's digest is known (`SourceFile.as_layer`) are not
    read again unless a sample says that compressing pays. No blob of a large file is written. Values: `bytes`, the size
    of the model's files, `files`, how many, and `models`: for its place in the image the digest over the layers'
    diff_ids, equal where the model is.
    """

    name = "model_layers"
    version = 4  # 4: links and empty folders; files that cannot be what they should be are errors
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Make the layers."""
        return lay(step.files, read(ModelParams, step.params).prefix, context, step.title)


def lay(files: Sequence[SourceFile], prefix: str, context: Context, title: str) -> Outputs:
    """The layers of a model's files below `prefix`: of the workspace, or of the store where they have no path there.

    Raises what `check_sound` raises, with `title`.
    """
    others = [file for file in files if not file.plain]
    files = [file for file in files if file.plain]
    check_sound(files, local_of(files, context), title)
    own, shared, small = divide(files)
    layers = [_layer([file], file.digest, prefix, context, file.name) for file in own]
    names = [file.name for file in own]
    for group in shared:
        names.append(f"{len(group)} files")
        layers.append(pack(group, prefix, context, names[-1]))
    if small or not layers:
        names.append("small files")
        layers.append(_layer(small, small[0].layer if small else "", prefix, context, names[-1]))
    if others:
        names.append("links and empty folders")
        layers.append(pack(others, prefix, context, names[-1]))
    digest = hex_digest("\n".join(layer.diff_id for layer in layers).encode())
    return Outputs(
        layers=layers,
        blobs=stored_blobs(layers),
        values=ModelMade(
            bytes=sum(file.size for file in files),
            files=len(files),
            layers=names,
            models={f"/{prefix.strip('/')}": f"sha256:{digest}"},
        )._asdict(),
    )


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


def _layer(files: Sequence[SourceFile], known: str, prefix: str, context: Context, title: str) -> Layer:
    """The layer of `files`; `known` is the digest that it has if it is not compressed and they lie where they say."""
    if known and files and files[0].as_layer == layer_path(prefix, files[0].name):
        parts = file_parts(files, prefix)
        if not compressible(parts, local_of(files, context)):
            return known_layer(parts, known)
    return pack(files, prefix, context, title)
