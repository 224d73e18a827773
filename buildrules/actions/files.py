"""The kind "files_layer": files of the workspace as one layer."""

from buildrules.actions.pack import pack
from buildrules.actions.params import FilesParams, read
from buildrules.engine.action import Outputs, stored_blobs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step


class FilesLayer:
    """Params: `prefix`, where the files go in the image. Every file of every source set becomes `prefix/name`.

    Outputs one layer. Raises ActionError where two files claim one place or a file cannot be read.
    """

    name = "files_layer"
    version = 1
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Pack the files."""
        layers = [pack(step.files, read(FilesParams, step.params).prefix, context, step.title)]
        return Outputs(layers=layers, blobs=stored_blobs(layers))
