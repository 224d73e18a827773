"""Which of the packages that run a command line means."""

from collections.abc import Sequence

from buildrules.errors import UsageError
from buildrules.oci.docker_http import Engine
from buildrules.serving.started import Started, started
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import here
from buildrules.workspace.suggest import did_you_mean


def named(engine: Engine, names: Sequence[str]) -> list[Started]:
    """Those of these names: each a container's, or a label, which stands for all containers of that package in the
    workspace of the current directory. Raises UsageError where nothing has a name, DockerError.
    """
    those = started(engine)
    found: dict[str, Started] = {}
    for name in names:
        if name.startswith(("//", ":")):
            root, directory, _ = here()
            label = str(parse_label(name, directory))
            mine = {one.label for one in those if one.workspace == root}
            meant = [one for one in those if one.label == label and one.workspace == root]
        else:
            mine = {one.name for one in those}
            meant = [one for one in those if one.name == name]
        if not meant:
            raise UsageError(
                f"nothing that buildrules started is called '{name}'",
                hint=did_you_mean(name, mine, what="there are") or "`buildrules ps` lists what there is",
            )
        found.update((one.name, one) for one in meant)
    return list(found.values())
