"""One action ready to run: plain data that can be written to a file and run by another process.

Everything its key saw is in it, and what it takes to find bytes: paths of files, and places to fetch from.
"""

from collections.abc import Callable, Mapping, Sequence

from buildrules.engine.action import NOTHING, Action, Outputs, SourceFile, paths_of
from buildrules.engine.form import misfit
from buildrules.errors import UsageError
from buildrules.oci.descriptor import is_digest
from buildrules.oci.supply import NOWHERE, Origin, Places
from buildrules.typed import Any, NamedTuple, TypeVar

Sources = Sequence[Sequence[SourceFile]]
T = TypeVar("T", bound=tuple[Any, ...])


class Dependency(NamedTuple):
    """What a step reads of another one.

    `role` is what it is to the step, "" where order says it. `places` and `sources` tell where the bytes of its layers
    are; a step has them only where its kind opens layers.
    """

    role: str
    outputs: Outputs
    places: Places = NOWHERE
    sources: Sources = ()


class Step(NamedTuple):
    """What is run: hashed are `kind`, `version`, `params`, `sources` (but paths) and `deps` (role and outputs)."""

    kind: str
    version: int | str
    title: str  # what a person reads
    params: Mapping[str, Any] = NOTHING
    sources: Sources = ()
    deps: Sequence[Dependency] = ()
    places: Places = NOWHERE
    weight: float = 1.0  # rough seconds, as of the action

    @property
    def files(self) -> list[SourceFile]:
        """The files of all source sets."""
        return [file for group in self.sources for file in group]

    @property
    def outputs(self) -> list[Outputs]:
        """What the dependencies made."""
        return [dep.outputs for dep in self.deps]

    def origin_of(self, root: str) -> Callable[[str], Origin]:
        """For `oci.supply`: digest of a dependency's layer -> where its bytes are, in the workspace `root`."""
        found: dict[str, Origin] = {}
        for dep in self.deps:
            if dep.places or dep.sources:
                files = paths_of(root, (file for group in dep.sources for file in group))
                found.update(dict.fromkeys((layer.digest for layer in dep.outputs.layers), _origin(dep.places, files)))
        return lambda digest: found.get(digest, Origin())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the weight: two that differ in that are one step."""
        return {
            "kind": self.kind,
            "version": self.version,
            "title": self.title,
            "params": dict(self.params),
            "sources": _rows(self.sources),
            "deps": [
                {
                    "role": dep.role,
                    "outputs": dep.outputs.to_dict(),
                    "places": dict(dep.places),
                    "sources": _rows(dep.sources),
                }
                for dep in self.deps
            ],
            "places": dict(self.places),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Step":
        """Read what `to_dict` wrote. Raises UsageError for anything else."""
        try:
            deps = [
                _fitting(
                    Dependency(row["role"], Outputs.from_dict(row["outputs"]), row["places"], _files(row["sources"]))
                )
                for row in data["deps"]
            ]
            fields = {name: data[name] for name in ("kind", "version", "title", "params", "places")}
            return _fitting(cls(**fields, sources=_files(data["sources"]), deps=deps))
        except KeyError as error:
            raise UsageError(f"a part of it has no {error.args[0]!r}") from None
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise UsageError("a list or an object of it is something else") from error


def _origin(places: Places, files: Mapping[str, str]) -> Origin:
    return Origin(places, lambda: files)


def _fitting(made: T) -> T:
    """A named tuple of plain data that others wrote. Raises UsageError where a field has no value it could have."""
    wrong = misfit(type(made), made)
    if wrong is not None:
        raise UsageError(f"{wrong} of a step cannot be {getattr(made, wrong)!r:.80}")
    return made


def _rows(sources: Sources) -> list[list[list[Any]]]:
    return [[list(file._replace(stat=None)) for file in group] for group in sources]


def _files(rows: Sequence[Sequence[Sequence[Any]]]) -> Sources:
    return [[_file(row) for row in group] for group in rows]


def _file(row: Sequence[Any]) -> SourceFile:
    """A file of a step that comes from elsewhere: it may lead nowhere but below the workspace, and below its set."""
    file = _fitting(SourceFile(*row))
    if not is_digest(file.digest):
        raise UsageError(f"{file.digest!r} of a step is not a digest")
    if file.path.startswith("/") or ".." in file.path.split("/"):
        raise UsageError(f"the path {file.path!r} of a step leaves the workspace")
    if not {"", ".", ".."}.isdisjoint(file.name.split("/")) or "\0" in file.name:
        raise UsageError(f"the name {file.name!r} of a step is not one below its source set")
    return file


def step_of(action: Action, version: int | str, sources: Sources, outputs: Sequence[Outputs]) -> Step:
    """The step of an action, from its files and what its dependencies made, in its order."""
    roles = action.roles or ("",) * len(outputs)
    deps = [Dependency(role, made) for role, made in zip(roles, outputs, strict=True)]
    return Step(action.kind, version, action.title, action.params, sources, deps, action.places, action.weight)
