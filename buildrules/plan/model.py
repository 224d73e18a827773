"""Plans how models and inputs get into an image."""

import os
import posixpath

from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Plan
from buildrules.errors import LoadError
from buildrules.rules.package import Placed
from buildrules.rules.sources import source_root


class ModelPlanner:
    """Plans models and inputs, each once per place. `looked_at` are paths of which mattered what they are."""

    def __init__(self, plan: Plan, root: str) -> None:
        self._plan = plan
        self._root = root
        self.looked_at: set[str] = set()  # workspace-relative

    def layers(self, placed: Placed) -> str:
        """The action that lays a model or input where it goes; returns its id. Raises LoadError."""
        target, values = placed.target, placed.target.values
        if values["uri"] is not None or placed.mode != "copy":
            raise LoadError(f"{target.label}: only `path` and `srcs` in mode copy", position=target.position_of("uri"))
        place = placed.directory.strip("/")
        if values["path"] is not None:
            source, prefix = self.path_source(values["path"], place, keep=True)
            if not placed.keep_folder and source.directory == values["path"]:
                prefix = place
        else:
            folder, include, exclude = source_root(
                target.label.package, values["srcs"], values["exclude"], values["strip_prefix"]
            )
            source, prefix = SourceSet(folder, tuple(include), tuple(exclude)), place
        if values["path"] is not None and values["exclude"]:
            source = SourceSet(source.directory, source.include, tuple(values["exclude"]))
        source = SourceSet(source.directory, source.include, source.exclude, layer_prefix=prefix)
        name = values["name"] or target.label.name
        return self._plan.add(
            Action(
                id=f"{target.label} model {prefix}",
                target=str(target.label),
                kind="model_layers",
                title=f"{target.provides} {name}",
                params={"prefix": prefix, "name": name},
                sources=(source,),
                weight=5.0,
            )
        )

    def path_source(self, path: str, place: str, *, keep: bool) -> tuple[SourceSet, str]:
        """A file or folder as a source set and the prefix its names go below; `keep` keeps its own name."""
        self.looked_at.add(path)
        directory, name = posixpath.split(path)
        if os.path.isdir(os.path.join(self._root, path)):
            return SourceSet(path, ("**",)), f"{place}/{name}" if keep and name else place
        if keep:
            return SourceSet(directory, (literal(name),)), place
        parent, wanted = posixpath.split(place)
        if wanted != name:
            raise LoadError(
                f"the file '{path}' cannot be placed as '/{place}': it keeps its name",
                hint=f"write '/{parent}/{name}', or rename the file",
            )
        return SourceSet(directory, (literal(name),)), parent


def literal(name: str) -> str:
    """A glob that matches this very name."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
