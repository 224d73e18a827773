"""Action "bytecode_layer": the bytecode of Python sources, in a layer beside theirs.

    params  `BytecodeParams`
    deps    actions "wheel_layer", in the order of the image, if sources are those of wheels
    places  those of the sources, and `interpreter`, as `actions.python.interpreter` takes it; its `parts` are fetched
            from the same places

A container's user can write no bytecode, and so would compile all it imports at every start. The bytecode is of the
unchecked kind (PEP 552): it names no time, and nothing looks at the source when it is imported. The blob is kept in the
store: it takes an interpreter to make it again. Where there is nothing to compile there is no layer.

What a wheel brings in folders of tests is left out. A source that is no Python of this version, or that crashes it,
gets an empty file: it stands over what another wheel may have had for that path, and the interpreter reads the source
instead.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from buildrules.actions.made import BytecodeMade
from buildrules.actions.pack import keep
from buildrules.actions.params import BytecodeParams, read
from buildrules.actions.python.compiler import LARGEST, compiler
from buildrules.actions.python.interpreter import LAYER, Interpreter, Interpreters
from buildrules.engine.action import Outputs, stored_blobs
from buildrules.engine.kind import BuildContext, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, GoneError
from buildrules.oci.content import content_of
from buildrules.oci.local import Local
from buildrules.oci.parts import Entry, FileRange, expander
from buildrules.oci.reader import Reader

_LEVEL = 9  # of libdeflate
_SOURCE = re.compile(
    r"(?!.*/tests?/)(?!/(_pydecimal|_pyio|ensurepip|idlelib|lib2to3|pydoc_data|tkinter|turtle|turtledemo)[/.]).+\.py"
)
"""What is compiled, by its path below the folder: neither tests nor what no server loads of a standard library."""


def _parts(step: Step) -> list[Row]:
    """The parts that hold the sources."""
    params = read(BytecodeParams, step.params)
    laid = (layer.recipe["parts"] for made in step.outputs for layer in made.layers if layer.recipe is not None)
    return [*params.parts, *(part for parts in laid for part in parts)]


def _content(step: Step) -> Sequence[Row]:
    return [*_parts(step), *_interpreter(step)["parts"]]


def _interpreter(step: Step) -> Mapping[str, Any]:
    found = step.places.get("interpreter")
    if not found:
        raise ActionError(f"nothing says which interpreter makes {step.title!r}", hint="no rule can ask for it")
    return dict(found)


class BytecodeLayer:
    """See the module."""

    name = "bytecode_layer"
    version = 1
    traits = Traits(content=_content, places=("interpreter",))

    def run(self, step: Step, context: BuildContext) -> Outputs:
        """One layer, or none. Raises ActionError where the interpreter cannot be run, and what sources raise."""
        params = read(BytecodeParams, step.params)
        interpreters, parts = context.session.own(Interpreters), _parts(step)
        work = _Work(params.folder, interpreters.of(_interpreter(step), context), context)
        if any(part["kind"] == LAYER for part in parts):  # the library of an image of others
            parts = [{"kind": LAYER, "root": interpreters.root(parts, context)}]
        layers = []
        try:
            entries = work.entries(parts)
            first = next(entries, None)
            if first is not None:
                layers.append(keep(chain([first], entries), _LEVEL, context, step.title))
        except FileNotFoundError as error:
            raise GoneError(f"what {step.title!r} is made of vanished from the store", hint="build again") from error
        values = BytecodeMade(work.files, work.skipped)._asdict()
        return Outputs(layers=layers, blobs=stored_blobs(layers), values=values)


class _Work:
    """Compiles the sources below `folder`. `files` and `skipped` count what was compiled and what could not be."""

    def __init__(self, folder: str, found: Interpreter, context: BuildContext) -> None:
        self.files = self.skipped = 0
        self._folder = f"{folder}/"
        self._interpreter = found
        self._context = context
        self._local = Local(context.blobs)

    def entries(self, parts: Sequence[Row]) -> Iterator[Entry]:
        """The files of bytecode, part by part, each compiled by a process of its own."""
        owners: dict[str, int] = {}  # of what several wheels bring the last counts, as in `oci.assemble`
        if len(parts) > 1:
            owners = {path: number for number, part in enumerate(parts) for path in self._paths(part)}
        for number, part in enumerate(parts):
            for path, data in self._compiled(part):
                if owners.get(path, number) == number:
                    yield Entry(path, size=len(data), content=data)

    def _sources(self, part: Row) -> Iterator[Entry]:
        below = _files(part["root"], self._folder) if part["kind"] == LAYER else None
        for entry in below or expander(part["kind"])(dict(part), self._local):
            within = entry.path.startswith(self._folder) and entry.kind == "file"
            if within and _SOURCE.fullmatch(entry.path, len(self._folder) - 1) and entry.size <= LARGEST:
                yield entry

    def _paths(self, part: Mapping[str, Any]) -> Iterator[str]:
        return (entry.path for entry in self._sources(part)) if part["kind"] == "wheel" else iter(())

    def _compiled(self, part: Row) -> Iterator[tuple[str, bytes]]:
        sources = self._sources(part)
        first = next(sources, None)
        if first is None:
            return
        with compiler(self._interpreter, self._context) as process, Reader() as reader:
            for entry in chain([first], sources):
                data = process.compile(f"/{entry.path}", content_of(entry, reader))
                self.files += bool(data)
                self.skipped += not data
                folder, name = posixpath.split(entry.path)
                yield f"{folder}/__pycache__/{name.removesuffix('.py')}.{process.tag}.pyc", data


def _files(root: str, folder: str) -> Iterator[Entry]:
    """The files below a folder of an unpacked image, in the order of their paths."""
    for place, folders, names in os.walk(os.path.join(root, folder.rstrip("/"))):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            if not os.path.islink(path):
                size = os.stat(path).st_size
                yield Entry(os.path.relpath(path, root), size=size, content=FileRange(path, 0, size, whole=True))
