"""The kind "lint": looks for what is likely wrong in a package. Its findings stand in `values`; it never fails.

On the way of a code edit: what looks into models and wheels is imported where there are any.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from buildrules.actions.params import LintCodeParams, LintPackageParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.lints.finding import Finding, spot
from buildrules.lints.secrets import HEAD, LARGEST, secret_of_image, secret_of_test, secrets_in
from buildrules.oci.supply import Origin

if TYPE_CHECKING:
    from buildrules.lints.versions import Saved

_CODE_LARGEST = 4 << 20
_MODELS = (".pkl", ".pickle", ".joblib", ".sav", ".p", ".json", ".ubj", ".model", ".bst", ".xgb")
_CUDA = ("CUDA_VERSION", "NVIDIA_VISIBLE_DEVICES", "NV_CUDA_LIB_VERSION", "ROCM_VERSION")


class Lint:
    """Params: `LintCodeParams`, or `LintPackageParams` for what is around the code.

    Of code: its files are the first source set, others that are packaged the rest; deps are the layers of the
    environment's wheels. Otherwise the last deps are the models, in the order of `models`, and the others wheels.
    Values: `findings`, a list of `Finding.to_list`. They name no place of the workspace but spots (`lints.finding`),
    for which the action's `places` has texts and positions.
    """

    name = "lint"
    version = 3
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
        return Outputs(values={"findings": [item.to_list() for item in found if item.name not in ignored]})


def _code(step: Step, params: LintCodeParams, context: Context) -> Iterator[Finding]:
    python: dict[str, tuple[str, bytes]] = {}
    for number, group in enumerate(step.sources):
        for file in group:
            content = _read(os.path.join(context.workspace, file.path), file.size)
            path = spot(f"source {number}") + file.name
            yield from secrets_in(path, content)
            if number == 0 and file.name.endswith(".py"):
                python[file.name] = (path, content)
    if params.models:
        from buildrules.lints.overlap import model_in_code

        files = [(file.name, file.size) for file in step.sources[0]]
        models = {path: spot(f"model {number}") for number, path in enumerate(params.models)}
        for finding in model_in_code(files, models, spot("source 0")):
            yield finding._replace(path=spot("code"))
    if params.python and python:
        from buildrules.lints.imports import missing_modules

        yield from missing_modules(python, params.entry, _modules(step.outputs), params.python)


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
    from buildrules.lints.gpu import gpu_wheels
    from buildrules.lints.server import unpinned_server

    deps, origin_of = step.outputs, step.origin_of(context.workspace)
    if not any(name in params.variables for name in _CUDA):
        for finding in gpu_wheels(params.packages):
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
    from buildrules.lints.versions import missing_for_pickle, pickle_version

    packages = {str(name): str(version) for name, version, *_ in params.packages}
    saved: list[Saved] = []
    needed: dict[str, frozenset[str]] = {}
    for name, size, file in files_of(outputs, prefix, context, origin_of):
        path = where + name
        if size <= LARGEST:
            content = file.read(HEAD)
            if b"\0" not in content:  # else it is no text, and nothing more of it is looked at
                content += file.read(LARGEST - len(content))
            file.seek(0)
            yield from secrets_in(path, content)
            if name.rpartition("/")[2] == "MLmodel":
                saved += _marked(path, content)
        if path.endswith(_MODELS):
            _look(path, file, size, saved, needed)
    if packages:
        yield from pickle_version(saved, packages)
        for path, names in needed.items():
            yield from missing_for_pickle(path, names, modules)


def _look(path: str, file: BinaryIO, size: int, saved: "list[Saved]", needed: dict[str, frozenset[str]]) -> None:
    from buildrules.lints.pickles import read_pickle
    from buildrules.lints.versions import Saved

    found = read_pickle(file, size)
    if found is not None:
        saved.extend(Saved(name, version, path) for name, version in found.versions.items())
        needed[path] = found.modules


def _marked(path: str, content: bytes) -> "list[Saved]":
    """The versions that the flavours of an MLmodel name."""
    from buildrules.actions.models.mlflow_files import MARK, ModelFiles, read_mark
    from buildrules.errors import LoadError
    from buildrules.lints.versions import Saved

    try:
        files = ModelFiles(path.removesuffix(MARK).rstrip("/"), {MARK: content.decode()})
        versions = read_mark(files).versions
    except (LoadError, UnicodeDecodeError):
        return []
    return [Saved(name, said.text, path, said.position.line, said.position.column) for name, said in versions.items()]
