"""The kind "inline_layer": directories, links and short texts that stand in the action itself, as one layer."""

from buildrules.actions.params import InlineParams, read
from buildrules.engine.action import Outputs, stored_blobs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import assemble_blob
from buildrules.oci.local import Local

ALLOWED = ("directory", "symlink", "inline")


class InlineLayer:
    """Params: `parts`, a list of recipe parts of the kinds "directory", "symlink" and "inline".

    Outputs one layer, a gzip blob in the store. Raises ActionError for other parts, IntegrityError for malformed ones.
    """

    name = "inline_layer"
    version = 1
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Make the layer of the parts, in their order."""
        parts = [dict(part) for part in read(InlineParams, step.params).parts]
        for part in parts:
            if part.get("kind") not in ALLOWED:
                raise ActionError(
                    f"{part.get('kind')!r} cannot be a part of an inline layer, only {', '.join(ALLOWED)}"
                )
        layers = [assemble_blob(recipes.gzip(parts, 6), Local(context.blobs))]
        return Outputs(layers=layers, blobs=stored_blobs(layers))
