"""The kind "lint": looks for what is likely wrong in a package. Its findings stand in `values`; it never fails.

On the way of a code edit: what looks into models and wheels is imported where there are any.
"""

import os
from collections.abc import Callable, Iterator

from buildrules.actions.made import FindingsMade
from buildrules.actions.params import LintCodeParams, LintPackageParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.lints.finding import ERROR, Finding, spot
from buildrules.lints.secrets import HEAD, LARGEST, secret_of_image, secret_of_test, secrets_in
from buildrules.oci.supply import Origin
from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

    from buildrules.lints.script import Mistake
    from buildrules.lints.versions import Saved

_CODE_LARGEST = 4 << 20
_POINTER = 1024
"""Pointers are shorter (git-LFS specification, "The Pointer")."""
_MODELS = (".pkl", ".pickle", ".joblib", ".sav", ".p", ".json", ".ubj", ".model", ".bst", ".xgb")


class Lint:
    """Params: `LintCodeParams`, or `LintPackageParams` for what is around the code.

    Of code: its files are the first source set, those that share the import path the next, others that are packaged
    the rest; deps are the layers of the environment's wheels. Otherwise the last deps are the models, in the order of
    `models`, and the others wheels. Nothing is built of a source archive for this: what these would bring is `unseen`.
    Values: `findings`, a list of `Finding.to_list`. They name no place of the workspace but spots (`lints.finding`),
    for which the action's `places` has texts and positions.
    """

    name = "lint"
    version = 10
    traits = Traits(opens=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """Look; what cannot be read is passed over, for the actions that package it say so."""
        params: LintCodeParams | LintPackageParams
        if step.params.get("code"):
            params = read(LintCodeParams, step.params)
            found = _code(step, params, context)
        else:
            params = read(LintPackageParams, step.params)
            found = _package(step, params, context)
        ignored = frozenset(params.ignore)
        rows: list[Any] = [item.to_list() for item in found if item.name not in ignored]
        return Outputs(values=FindingsMade(rows)._asdict())


def _code(step: Step, params: LintCodeParams, context: Context) -> Iterator[Finding]:
    python: dict[str, tuple[str, bytes]] = {}
    for number, group in enumerate(step.sources):
        for file in group:
            content = _read(os.path.join(context.workspace, file.path), file.size)
            path = spot(f"source {number}") + file.name
            yield from secrets_in(path, content)
            if len(content) < _POINTER and not file.name.endswith(".py"):
                yield from _pointer(path, content)
            if number < len(params.roots) and file.name.endswith(".py"):
                python.setdefault("/".join(filter(None, (params.roots[number], file.name))), (path, content))
    if params.models:
        from buildrules.lints.overlap import model_in_code

        files = [(file.name, file.size) for file in step.sources[0]]
        models = {path: spot(f"model {number}") for number, path in enumerate(params.models)}
        for finding in model_in_code(files, models, spot("source 0")):
            yield finding._replace(path=spot("code"))
    if params.python and python:
        yield from _python(python, params, params.python, step.outputs)


def _pointer(path: str, content: bytes) -> Iterator[Finding]:
    from buildrules.actions.models.pointers import pointer_of

    pointer = pointer_of(path, content)
    if pointer is not None:
        yield Finding(
            "pointer", ERROR, f"a pointer of {pointer.tool}, not the file itself", path, hint=f"run `{pointer.command}`"
        )


def _python(
    files: dict[str, tuple[str, bytes]], params: LintCodeParams, version: str, wheels: list[Outputs]
) -> Iterator[Finding]:
    from buildrules.lints.finding import WARNING
    from buildrules.lints.imports import imports_outside, missing_modules
    from buildrules.lints.script import UNREADABLE, mistake_of, not_python, parsed

    trees: dict[str, ast.Module | None] = {}
    mistakes: dict[str, Mistake | None] = {}
    for name, (_, content) in files.items():
        try:
            trees[name] = parsed(content)
        except UNREADABLE as error:
            trees[name] = None
            mistakes[name] = mistake_of(error, version)
    outside = imports_outside(trees, params.entry)
    for name, mistake in mistakes.items():
        if mistake is not None:
            yield not_python(mistake, files[name][0], version, ERROR if name in outside else WARNING)
    if wheels:  # else nothing is known of what the environment has
        by_path = {files[name][0]: found for name, found in outside.items()}
        modules = _modules(wheels)
        yield from missing_modules(by_path, modules, version, made=params.made, unseen=params.unseen)


def _read(path: str, size: int) -> bytes:
    """A small file; nothing of a large one."""
    if size > _CODE_LARGEST:
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(_CODE_LARGEST)
    except OSError:
        return b""


def _modules(deps: list[Outputs]) -> frozenset[str]:
    return frozenset(name for outputs in deps for name in outputs.values.get("modules", ()))


def _package(step: Step, params: LintPackageParams, context: Context) -> Iterator[Finding]:
    from buildrules.lints.gpu import of_environment
    from buildrules.lints.server import unpinned_server

    deps, origin_of = step.outputs, step.origin_of(context.workspace)
    for finding in of_environment(params.packages, params.variables, params.cuda, refused=params.no_gpu):
        yield finding._replace(path=spot("env"))
    for finding in unpinned_server(params.requirements, params.server):
        yield finding._replace(path=spot("server"))
    for number, name in enumerate(params.written):
        yield secret_of_image(name)._replace(path=spot(f"written {number}"))
    for number, name in enumerate(params.tests):
        yield secret_of_test(spot(f"test {number}"), name)._replace(path=spot(f"test {number}"))
    layers = len(params.models)
    wheels, models = deps[: len(deps) - layers], deps[len(deps) - layers :]
    for number, (prefix, outputs) in enumerate(zip(params.models, models, strict=True)):
        where = spot(f"model {number}")
        yield from _model(where, prefix, outputs, params, _modules(wheels), context, origin_of)


def _model(
    where: str,
    prefix: str,
    outputs: Outputs,
    params: LintPackageParams,
    modules: frozenset[str],
    context: Context,
    origin_of: Callable[[str], Origin],
) -> Iterator[Finding]:
    from buildrules.actions.layer_files import files_of
    from buildrules.lints.drift import known_drift
    from buildrules.lints.pickles import Pickled, read_pickle
    from buildrules.lints.versions import Saved, missing_for_pickle, pickle_version

    packages = {str(name): str(version) for name, version, *_ in params.packages}
    saved: list[Saved] = []
    pickles: dict[str, Pickled] = {}
    for name, size, file in files_of(outputs, prefix, context, origin_of):
        path = where + name
        if size <= LARGEST:
            content = file.read(HEAD)
            if b"\0" not in content:  # else it is no text, and nothing more of it is looked at
                content += file.read(LARGEST - len(content))
            yield from secrets_in(path, content)
            if name.rpartition("/")[2] == "MLmodel":
                saved += _marked(path, content)
        if path.endswith(_MODELS):
            file.seek(0)
            found = read_pickle(file, size)
            if found is not None:
                saved.extend(Saved(name, version, path) for name, version in found.versions.items())
                pickles[path] = found
    if packages:
        known = [one for path, it in pickles.items() for one in known_drift(path, it.words, it.versions, packages)]
        yield from (finding for _, finding in known)
        yield from pickle_version(saved, packages, {name for name, _ in known})
        for path, found in pickles.items():
            yield from missing_for_pickle(path, found.modules, modules, params.unseen)


def _marked(path: str, content: bytes) -> "list[Saved]":
    """The versions that the flavours of an MLmodel name."""
    from buildrules.actions.models.mlflow_files import read_mark
    from buildrules.errors import LoadError
    from buildrules.lints.versions import Saved

    try:
        versions = read_mark(path, content.decode()).versions
    except (LoadError, UnicodeDecodeError):
        return []
    return [Saved(name, said.text, path, said.position.line, said.position.column) for name, said in versions.items()]
