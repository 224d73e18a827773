"""The environment of an MLflow model, from its own files.

MLflow writes the same requirements down several times, and people change some of them. What it installs itself is
used: requirements.txt; else conda.yaml, conda's packages and the pip list; else the list in python_env.yaml; else the
versions in MLmodel. Where MLmodel names conda.yaml alone as its environment, as MLflow 1 did, conda.yaml is first; so
Azure ML does it. For Python it is python_env.yaml, then conda.yaml, then MLmodel. Where the others say something
else, that is reported and changes nothing.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.version import InvalidVersion, Version

from buildrules.actions.models.mlflow_files import DISTRIBUTIONS, MARK, REQUIREMENTS, Marked, ModelFiles, Said, text_at
from buildrules.credentials.connections import Connections
from buildrules.errors import LoadError, Position, ResolutionError
from buildrules.locking.python.collector import Collector, Requirements
from buildrules.locking.python.conda_file import read_conda
from buildrules.locking.python.formats import MLMODEL, PYTHON_ENV, SIGNATURE
from buildrules.locking.python.requirement import Requirement

_MLFLOW = ("mlflow", "mlflow-skinny")
_LOADER = ("pandas", "numpy")  # what mlflow.pyfunc imports and mlflow-skinny does not ask for
_PYTHON = re.compile(r"=*\s*(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two files of a model that do not say the same: what, and where the one stands that is not used."""

    message: str
    position: Position | None

    def __str__(self) -> str:
        return f"{self.position}: {self.message}" if self.position else self.message


@dataclass(slots=True)
class ModelEnvironment:
    """What a model asks for. `source` is the file its requirements are taken from, `python` the version it wants,
    `watched` are the paths of all files that could change it, whether they exist or not.
    """

    requirements: Requirements
    source: str
    python: Said | None
    disagreements: list[Disagreement] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)


def collect_model(
    root: str,
    files: ModelFiles,
    *,
    asker: str,
    exclude: Collection[str] = (),
    without: Collection[str] = (),
    connections: Connections | None = None,
) -> ModelEnvironment:
    """What the model of `files` needs, with mlflow itself to load it.

    `root` is the absolute workspace root, for wheels that requirements name by path. Of the distributions in
    `without` nothing is taken: somebody else says which version. Raises LoadError with all that cannot be read.
    """
    sources = _sources(root, files, asker, exclude, connections)
    chosen = next((source for source in sources if source.found.items), None)
    if chosen is None:
        chosen = _from_mark(root, files, asker)
    else:
        chosen.finish()
    pythons = _pythons(files, sources)
    found = chosen.found
    disagreements = _disagreements(files, chosen, sources, pythons)
    installer = [item for item in found.items if item.conda == "pip"]  # which installs the list below it, there
    found.items = [item for item in found.items if item.name not in without and item not in installer]
    _add_mlflow(found, files, asker, {*without, *(item.name for item in found.items)})
    python = pythons[0] if pythons else None
    return ModelEnvironment(found, files.path(chosen.name), python, disagreements, files.watched)


def check_python(wanted: Said | None, python: str, override: str | None, way_out: str) -> None:
    """Raise ResolutionError where the model was made with another minor version of Python than the base's `python`.

    `override` is the version that the user says stands above the model's; it is held against the base elsewhere.
    """
    if wanted is None or override is not None:
        return
    minor = _minor(wanted.text)
    if minor is not None and minor != _minor(python):
        raise ResolutionError(
            f"the model asks for Python {wanted.text}, and the base has Python {python}",
            hint=f"choose a base with Python {minor}, or {way_out}",
            position=wanted.position,
        )


def python_of(files: ModelFiles) -> Said | None:
    """The version of Python that the model of `files` asks for."""
    return next(iter(_pythons(files, _sources("", files, "", (), None))), None)


def conda_differs(files: ModelFiles) -> str | None:
    """The name of a model's conda file, where it asks for MLflow, and for something else than requirements.txt."""
    name = files.marked.conda
    sources = {source.name: source.items for source in _sources("", files, "", (), None)}
    conda, listed = sources.get(name, {}), sources.get(REQUIREMENTS, {})
    differ = any(_specifier(conda[name].text) != _specifier(listed[name].text) for name in conda.keys() & listed.keys())
    return name if differ and not conda.keys().isdisjoint(_MLFLOW) else None


def disagreements_of(files: ModelFiles, used: str | None) -> list[Disagreement]:
    """What the files of a model do not say alike; `used` is the name of the one that counts, if not the usual one."""
    sources = _sources("", files, "", (), None)
    chosen = next((one for one in sources if one.found.items and used in (None, one.name)), None)
    if chosen is None:
        return []
    return _disagreements(files, chosen, sources, _pythons(files, sources))


def _disagreements(
    files: ModelFiles, chosen: "_Source", sources: "list[_Source]", pythons: list[Said]
) -> list[Disagreement]:
    others = (*_others(chosen, sources), *_python_disagreements(pythons))
    return [*_versions(chosen, files.marked), *others, *_unread(files)]


class _Source(Collector):
    """One file's requirements."""

    name = ""

    @property
    def items(self) -> dict[str, Requirement]:
        return {item.name: item for item in self.found.items if item.name}


def _sources(
    root: str,
    files: ModelFiles,
    asker: str,
    exclude: Collection[str],
    connections: Connections | None,
) -> list[_Source]:
    """The files that are there, the one that counts most first. Their errors stay in them."""
    found = []
    marked = files.marked
    names = [REQUIREMENTS, marked.conda, marked.virtualenv]
    for name in sorted(names, key=lambda name: marked.conda_first and name != marked.conda):
        if name not in files.texts:
            continue
        collector = _Source(root, asker, exclude, connections)
        collector.name = name
        collector.texts = {files.path(other): text for other, text in files.texts.items()}
        if name == REQUIREMENTS:
            collector.requirements_file(files.path(name), None)
        elif name == marked.conda:
            read_conda(collector, files.path(name), None)
        else:
            try:
                root_node = files.yaml(name)
                listed = root_node.entries.get("dependencies") if root_node is not None else None
            except LoadError as error:
                collector.errors.append(error)
                listed = None
            for line in map(text_at, listed.items if listed is not None else ()):
                if line is not None and not line.text.startswith(("-r", "--requirement")):  # that is requirements.txt
                    collector.line(line.text, os.path.dirname(files.path(name)), line.position)
        found.append(collector)
    return found


def _from_mark(root: str, files: ModelFiles, asker: str) -> _Source:
    """No file lists requirements: the flavours' libraries, in the versions the model was saved with."""
    marked = files.marked
    if not marked.versions and marked.mlflow is None:
        raise LoadError(
            f"the model {files.folder!r} does not say what it needs: it has no {REQUIREMENTS}, {marked.conda} or"
            f" {marked.virtualenv}",
            hint="save it with MLflow's own save_model, or name a python_env in base_env",
            position=files.at(MARK),
        )
    collector = _Source(root, asker)
    collector.name = MARK
    for name, said in sorted(marked.versions.items()):
        collector.add(f"{name}=={said.text}", files.folder, said.position)
    collector.finish()
    return collector


def _add_mlflow(found: Requirements, files: ModelFiles, asker: str, named: set[str]) -> None:
    """The package that loads the model, where nothing asks for it."""
    said = files.marked.mlflow
    place = said.position if said else files.at(MARK)
    added = []
    if not named.intersection(_MLFLOW):
        added.append("mlflow-skinny" + _pin(said.text if said else None))
        added += [name for name in _LOADER if name not in named]
    if said is not None and said.text.startswith(("1.", "2.")) and "setuptools" not in named:
        added.append("setuptools<81")  # they import pkg_resources, and rely on the installer for it
    collector = Collector("", asker)
    for text in added:
        collector.add(text, files.folder, place)
    found.items += collector.finish().items


def _pin(version: str | None) -> str:
    """The specifier for the MLflow a model was saved with; a development version was never published."""
    try:
        parsed = Version(version or "")
    except InvalidVersion:
        return ""
    return f">={parsed.base_version}" if parsed.is_devrelease or parsed.local else f"=={parsed}"


def _versions(chosen: _Source, marked: Marked) -> Iterator[Disagreement]:
    """Libraries that the model was saved with, and that are asked for in another version or not at all."""
    items = chosen.items
    saved = dict(marked.versions)
    if marked.mlflow is not None:
        name = next((name for name in _MLFLOW if name in items), None)
        saved |= {name: marked.mlflow} if name else {}
    for name, said in sorted(saved.items()):
        item = items.get(name)
        if item is None:
            yield Disagreement(
                f"the model was saved with {name} {said.text}, and {chosen.name}, which is used, does not ask for it",
                said.position,
            )
            continue
        try:
            fits = item.local or Parsed(item.text).specifier.contains(Version(said.text), prereleases=True)
        except InvalidVersion:
            continue
        if not fits:
            yield Disagreement(
                f"the model was saved with {name} {said.text}, and '{item.text}' in {_place(item)} is used",
                said.position,
            )


def _others(chosen: _Source, sources: list[_Source]) -> Iterator[Disagreement]:
    """What the files that are not used say differently."""
    ours = chosen.items
    for other in sources:
        theirs = other.items
        if other is chosen or not (theirs or other.errors):
            continue
        for error in other.errors:
            yield Disagreement(f"{error.message}; {chosen.name} is used", error.position)
        for name, item in theirs.items():
            if name in ("pip", "setuptools", "wheel"):
                continue
            mine = ours.get(name)
            if mine is None:
                text = f"'{item.text}' is missing in {chosen.name}, which is used"
                yield Disagreement(text, item.position)
            elif _specifier(mine.text) != _specifier(item.text):
                text = f"'{item.text}' is asked for here, and '{mine.text}' in {_place(mine)}, which is used"
                yield Disagreement(text, item.position)
        lacking = sorted(set(ours) - set(theirs) - {"pip", "setuptools", "wheel"})
        if lacking and theirs:
            first = next(iter(theirs.values())).position
            verb = "is" if len(lacking) == 1 else "are"
            text = f"{', '.join(lacking)} {verb} missing here, and asked for in {chosen.name}, which is used"
            yield Disagreement(text, Position(first.path, 1) if first else None)


def _pythons(files: ModelFiles, sources: list[_Source]) -> list[Said]:
    """What the files say of Python, the one that counts most first."""
    found = []
    if files.marked.virtualenv in files.texts:
        with contextlib.suppress(LoadError):  # reported with its requirements
            found.append(text_at(files.yaml(files.marked.virtualenv), "python"))
    for source in sources:
        pin = source.found.python
        if pin is not None and pin.position is not None:
            found.append(Said(pin.version, pin.position))
    found.append(files.marked.python)
    return [said for said in found if said is not None and _minor(said.text) is not None]


def _python_disagreements(pythons: list[Said]) -> Iterator[Disagreement]:
    for said in pythons[1:]:
        first = pythons[0]
        if _minor(said.text) != _minor(first.text):
            place = _line(first.position)
            yield Disagreement(
                f"Python {said.text} is asked for here, and {first.text} in {place}, which is used", said.position
            )


def _unread(files: ModelFiles) -> Iterator[Disagreement]:
    """Keys of the model's files that are not known here, and versions of libraries that are compared with nothing."""
    root, environment = files.yaml(MARK), None
    with contextlib.suppress(LoadError):  # reported with its requirements
        environment = files.yaml(files.marked.virtualenv) if files.marked.virtualenv in files.texts else None
    signature = root.entries.get("signature") if root is not None else None
    for node, known in ((root, MLMODEL), (signature, SIGNATURE), (environment, PYTHON_ENV)):
        for key, place in node.keys.items() if node is not None else ():
            if key not in known:
                yield Disagreement(f"{key!r} is not known here, and not read", place.position)
    for step in ((), ("conda",), ("virtualenv",)):
        said = text_at(root, "flavors", "python_function", "env", *step)
        if said is not None and said.text not in (files.texts if not step else files.marked.names):
            yield Disagreement(f"there is no {said.text!r} in the model's own folder: it is not read", said.position)
    flavours = root.entries.get("flavors") if root is not None else None
    for flavour in flavours.entries.values() if flavours is not None else ():
        for key, place in flavour.keys.items():
            if key.endswith("_version") and key not in DISTRIBUTIONS and key != "python_version":
                yield Disagreement(f"{key!r}: its library is not known here, and not compared", place.position)


def _minor(text: str) -> str | None:
    match = _PYTHON.match(text.strip())
    return f"{match[1]}.{match[2]}" if match else None


def _specifier(text: str) -> object:
    try:
        parsed = Parsed(text)
    except InvalidRequirement:
        return text
    return parsed.specifier, parsed.url


def _place(item: Requirement) -> str:
    return _line(item.position) if item.position else "the requirements"


def _line(position: Position) -> str:
    name = os.path.basename(position.path)
    return f"{name}:{position.line}" if position.line else name
