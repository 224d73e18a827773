"""The requirements of a python_env, from wherever they are written: a list, files, pyproject.toml, conda.yaml.

Requirements files are those of pip's reference, "Requirements File Format", less the options that
choose an index: where packages come from is the user's own setting and no part of what is asked for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from buildrules.credentials.connections import Connections
from buildrules.errors import Position
from buildrules.locking.python.collector import Collector, Requirements
from buildrules.locking.python.conda_file import read_conda
from buildrules.locking.python.pyproject import read_pyproject
from buildrules.rules.resolve import ResolvedTarget

_ATTRIBUTES = ("requirements", "constraints", "requirements_file", "pyproject", "extras", "groups", "conda_file")


def collect_target(
    root: str,
    target: ResolvedTarget,
    connections: Connections,
    environment: Mapping[str, Any] | None = None,
    **given: Any,
) -> Requirements:
    """What a python_env asks for itself, but for what is `given` instead. Raises as `collect`."""
    return collect(
        root,
        target.label.package,
        **{name: target.values[name] for name in _ATTRIBUTES if name not in given},
        exclude=target.values["exclude"],
        connections=connections,
        environment=environment,
        asker=f"the environment {target.label}",
        place=target.position_of,
        solved=is_conda(target),
        **given,
    )


def is_conda(target: ResolvedTarget) -> bool:
    """Whether conda's solver makes an environment."""
    return bool(target.values.get("solver") == "conda")


def collect(
    root: str,
    folder: str,
    *,
    requirements: Sequence[str] = (),
    constraints: Sequence[str] = (),
    requirements_file: str | None = None,
    pyproject: str | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    conda_file: str | None = None,
    exclude: Sequence[str] = (),
    connections: Connections | None = None,
    environment: Mapping[str, Any] | None = None,
    asker: str = "",
    place: Callable[..., Position | None] = lambda *_: None,
    solved: bool = False,
    texts: Mapping[str, str] = MappingProxyType({}),
) -> Requirements:
    """Collect the requirements of a target in the workspace folder `folder` below the absolute `root`.

    Files are workspace-relative. `place(attribute)` and `place(attribute, n)` are where an attribute, or the n-th
    item of one, is written. `exclude` lets conda packages that are no Python packages pass: they are left out. An index
    that requirements name is taken where one of `connections` serves it. `environment` has the values of the image's
    markers (PEP 508), which choose among the sources that [tool.uv] has for one package. With `solved` the packages of
    the conda file are for conda's solver. `texts` are files that need not be in the workspace, by path.
    Raises LoadError with everything that is wrong.
    """
    collector = Collector(root, asker, exclude, connections, environment)
    collector.texts = texts
    for number, text in enumerate(requirements):
        collector.add(text, folder, place("requirements", number))
    for number, text in enumerate(constraints):
        position = place("constraints", number) or Position(folder or ".", 1)
        collector.line(text, folder, position, constraint=True)
    if requirements_file is not None:
        with _noting_nothing(collector, requirements_file, place("requirements_file")):
            collector.requirements_file(requirements_file, place("requirements_file"))
    if pyproject is not None:  # "" is the root
        with _noting_nothing(collector, pyproject or ".", place("pyproject")):
            read_pyproject(collector, pyproject, extras, groups, place("pyproject"))
    if conda_file is not None:
        with _noting_nothing(collector, conda_file, place("conda_file")):
            read_conda(collector, conda_file, place("conda_file"), solved=solved)
    return collector.finish()


@contextmanager
def _noting_nothing(collector: Collector, path: str, position: Position | None) -> Iterator[None]:
    """Note a file that is read inside and asks for nothing."""
    found = collector.found
    before = len(found.items)
    yield
    if len(found.items) == before and not (found.conda is not None and found.conda.specs):
        found.notes.append(f"{path!r} asks for no packages" + (f" ({position})" if position is not None else ""))
