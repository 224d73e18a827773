"""The kind "group": the layers of several actions together, for a target that is layers and no image."""

from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step


class Group:
    """Outputs the layers of all dependencies, in order."""

    name = "group"
    version = 1
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Gather the layers."""
        return Outputs(layers=[layer for outputs in step.outputs for layer in outputs.layers])
