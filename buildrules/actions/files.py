"""The kind "files_layer": files of the workspace as one layer."""

from buildrules.actions.pack import pack
from buildrules.engine.action import Action, Context, Outputs, SourceFile


class FilesLayer:
    """Params: `prefix`, where the files go in the image. Every file of every source set becomes `prefix/name`.

    Outputs one layer. Raises ActionError where two files claim one place or a file cannot be read.
    """

    name = "files_layer"
    version = 1

    def run(self, action: Action, sources: list[list[SourceFile]], deps: list[Outputs], context: Context) -> Outputs:
        """Pack the files."""
        files = [file for group in sources for file in group]
        return Outputs(layers=[pack(files, action.params["prefix"], context, action.title)])
