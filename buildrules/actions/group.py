"""The kind "group": the layers of several actions together, for a target that is layers and no image."""

from buildrules.engine.action import Action, Context, Outputs, SourceFile


class Group:
    """Outputs the layers of all dependencies, in order."""

    name = "group"
    version = 1

    def run(self, action: Action, sources: list[list[SourceFile]], deps: list[Outputs], context: Context) -> Outputs:
        """Gather the layers."""
        return Outputs(layers=[layer for dep in deps for layer in dep.layers])
