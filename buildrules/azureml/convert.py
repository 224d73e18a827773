"""From files of Azure ML to targets."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from buildrules.azureml.bases import Foundation, foundation, from_environment
from buildrules.azureml.code import code_target
from buildrules.azureml.connection import Connection, read_connection
from buildrules.azureml.custom import custom_server, take_over
from buildrules.azureml.deployment import read_deployment
from buildrules.azureml.document import Document, Kind, display
from buildrules.azureml.environment import read_environment
from buildrules.azureml.inputs import input_target
from buildrules.azureml.model_choice import find_models, models_of_document
from buildrules.azureml.models import Model, already_packed, model_target
from buildrules.azureml.neighbourhood import text_of
from buildrules.azureml.package import read_package
from buildrules.azureml.places import settle_places
from buildrules.azureml.reading import failures, is_sure, left_out, read_documents, wanted_kinds
from buildrules.azureml.references import parse_reference
from buildrules.azureml.specification import Specification
from buildrules.azureml.targets import Local, Ref, Target, Targets, clean_name
from buildrules.azureml.work import Options, Work
from buildrules.document.problems import Problems
from buildrules.errors import LoadError

__all__ = ["Conversion", "convert"]

_NOTED = {Kind.ENDPOINT: "there is nothing to build", Kind.DATA: "used where a package names it as input"}
_SAMPLES = ("sample-request.json", "sample_request.json", "sample-data.json")


@dataclass(slots=True)
class Conversion:
    """What came out. `packages` are the images to be, `watched` absolute paths the outcome depends on, `looked_at`
    those of which only matters what is there. `failed` are the errors of files (absolute paths) that were found in a
    directory and could not be converted.
    """

    documents: list[Document]
    targets: Targets
    packages: list[Target] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    watched: set[str] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)
    failed: dict[str, list[LoadError]] = field(default_factory=dict)

    def raise_failed(self) -> None:
        """Raise what is wrong with the files of a directory that could not be converted, as one LoadError."""
        error = failures(self.failed)
        if error is not None:
            raise error


def convert(paths: list[str], options: Options, top: str | None) -> Conversion:
    """Convert files (absolute paths); `top` is the root of the workspace around them, if there is one.

    Raises LoadError with all errors at once, UsageError for what the command line asks.
    """
    work = Work(options, [], top, frozenset(paths))
    work.documents = read_documents(paths, work)
    conversion = Conversion(work.documents, work.targets)
    packaged = {text_of(d.node, "target_environment", "targetEnvironmentId") for d in work.given(Kind.PACKAGE)}
    work.targets.reserved = {clean_name(name) for document in work.documents for name in _package_names(document)}
    packages = [d for d in work.documents if d.kind in (Kind.PACKAGE, Kind.ONLINE, Kind.BATCH)]
    for document in packages:
        with _attempt(work, document):
            target = _package(work, document, {name for name in packaged if name})
            if target is not None and target not in conversion.packages:
                conversion.packages.append(target)
    for document in work.documents:
        with _attempt(work, document):
            if document not in packages:
                _other(work, conversion, document, named=document.path in paths)
    work.problems.raise_all()
    conversion.packages = [target for target in conversion.packages if target in work.targets.all]
    conversion.failed = work.failed
    conversion.documents = [
        document for document in work.documents if document.path not in work.failed.keys() | work.left
    ]
    if work.failed and not work.targets.all and not conversion.connections:
        conversion.raise_failed()
    work.targets.all.sort(key=_rank)
    conversion.notes = work.notes
    conversion.watched = work.watched()
    conversion.looked_at = work.looked_at
    return conversion


@contextmanager
def _attempt(work: Work, document: Document) -> Iterator[None]:
    """Convert one file. Where a directory was named, what is wrong with one file does not stop the others: its errors
    are kept in `work.failed`, and its targets are dropped.
    """
    if document.path in work.named:
        before = len(work.targets.all)
        yield
        settle_places(work, before)
        return
    there, kept = list(work.targets.all), work.problems
    work.problems = Problems()
    try:
        yield
        settle_places(work, len(there))
        if len(work.problems):
            if is_sure(document):
                work.failed[document.path] = list(work.problems.errors)
            else:
                work.note(left_out(document.path, work.problems))
                work.left.add(document.path)
            work.targets.all = there
    finally:
        work.problems = kept


def _rank(target: Target) -> int:
    """What others stand on comes first."""
    ranks = {"debian_base": 0, "oci_base": 0, "python_env": 1, "model": 2, "input": 3, "scoring_code": 4}
    return 6 if target.rule == "model_package" else ranks.get(target.rule, 5)


def _package_names(document: Document) -> list[str]:
    """The name of a package that a document describes, before it is read properly."""
    if document.kind is Kind.PACKAGE:
        node = document.node.entries.get("target_environment") or document.node.entries.get("targetEnvironmentId")
        name = text_of(node, "name") if node is not None and node.kind == "map" else node.text if node else None
        return [parse_reference(name, short=True).name] if name else []
    if document.kind in (Kind.ONLINE, Kind.BATCH):
        return [text_of(document.node, "name", "endpoint_name") or "deployment"]
    return []


def _other(work: Work, conversion: Conversion, document: Document, *, named: bool) -> None:
    """Environments, models and connections, and what nothing is made of; an error only where it was `named`."""
    kind = document.kind
    if kind is Kind.ENVIRONMENT:
        environment = read_environment(document.node, document.directory, work.problems, named=True)
        if environment is not None:
            from_environment(work, environment, environment.name or "environment")
    elif kind is Kind.MODEL:
        for model in models_of_document(work, document):
            if not already_packed(work, model):
                model_target(work, model)
    elif kind is Kind.CONNECTION:
        connection = read_connection(document, work.problems)
        if isinstance(connection, str):
            work.note(connection)
        elif connection is not None:
            conversion.connections.append(connection)
    elif kind in _NOTED or (kind in (Kind.PIPELINE, Kind.OTHER) and not named):
        work.note(f"{document.shown}: {kind.value}; {_NOTED.get(kind, 'left out')}")
    elif kind is Kind.PIPELINE:
        work.fail(document.node, "a pipeline deployment runs components and holds no model", "name a model deployment")
    elif kind is Kind.OTHER:
        work.fail(
            document.node,
            f"'{text_of(document.node, '$schema')}': nothing can be made of this kind of file",
            wanted_kinds(),
        )


def _package(work: Work, document: Document, packaged: set[str]) -> Target | None:
    if document.kind is Kind.PACKAGE:
        spec = read_package(document, work.problems)
    else:
        spec = read_deployment(document, work.problems)
    if spec is None:
        return None
    if spec.deployment and spec.environment is not None and spec.model is None and spec.code is None:
        reference = spec.environment.reference
        near = {text_of(d.node, "target_environment") for d in work.near(document.directory).documents(Kind.PACKAGE)}
        if reference is not None and reference.name in packaged | near:
            work.note(f"{document.shown}: deploys the package '{reference.name}'; there is nothing more to build")
            return None
    return _join(work, spec)


def _join(work: Work, spec: Specification) -> Target | None:
    """The package and all it joins."""
    before = len(work.problems)
    models = find_models(work, spec)
    mlflow = bool(models) and all(model.mlflow for model in models)
    needless = spec.server == "custom" or (
        spec.deployment and spec.server == "azureml_online" and spec.code is not None
    )
    missing = not models and not needless and len(work.problems) == before
    if missing and spec.environment is None and work.options.environment is None:
        _no_model(work, spec)
    made = [model_target(work, model) for model in models]
    plain = spec.environment is None and spec.code is None and spec.deployment
    if plain and models and all(model.flavour == "triton" for model in models):
        spec.server = "triton"
    lost = not models and len(work.problems) > before  # an MLflow model brings an environment; nobody knows now
    stands = foundation(work, spec, models=list(zip(models, made, strict=True)) if mlflow else [], lost=lost)
    sound = len(work.problems)
    if stands is not None:
        take_over(work, spec, stands)
    if missing and len(work.problems) == before and spec.server != "custom":  # a container may need none
        _no_model(work, spec)
    unknown = stands is None and spec.deployment and spec.environment is not None  # it may be a container
    if not unknown and len(work.problems) == sound:
        _check_code(work, spec, models, mlflow=mlflow)
    code = code_target(work, spec, [model.path for model in models if model.path])
    inputs = [target for one in spec.inputs if (target := input_target(work, spec, one)) is not None]
    mode = _mode(work, spec, models)
    if stands is None or len(work.problems) > before:
        return None
    if spec.server == "custom" and not stands.image and spec.entry_script is None:
        work.fail(
            spec.at(),
            f"nothing says what starts the server of '{spec.name}'",
            "write inference_configuration: {entry_script: ...}, or take an environment that is an image",
        )
        return None
    server = _server(work, spec, stands, made, code)
    variables = {**stands.variables, **spec.variables}
    remarks = {}
    if code is not None and spec.server == "azureml_online" and "/" in code.attributes["entry_script"]:
        folder = os.path.dirname(code.attributes["entry_script"])
        variables.setdefault("AML_APP_ROOT", f"/var/azureml-app/{code.attributes['name']}/{folder}")
    comments = [*([spec.description] if spec.description else []), *spec.comments]
    if spec.mount_path and not made:
        comments.append("model_mount_path left out: there is no model")
    attributes: dict[str, Any] = {
        "model": Ref(made[0]) if len(made) == 1 else None,
        "models": [Ref(one) for one in made] if len(made) > 1 else None,
        "inputs": [Ref(one) for one in inputs],
        "base_env": stands.base_env,
        "server": server,
        "code": Ref(code) if code is not None else None,
        "mode": mode if made or inputs else None,
        "mount_path": spec.mount_path if made else None,
        "target_environment": ":".join(part for part in spec.target_environment if part)
        if spec.target_environment
        else None,
        "environment": variables,
        "tags": spec.tags,
    }
    if mode == "copy" and spec.mode is None and work.options.mode is None:
        remarks["mode"] = "nothing was said; Azure's default is download"
    beside = [os.path.join(spec.document.directory, name) for name in _SAMPLES]
    sample = next((path for path in beside if work.is_file(path)), None)
    if sample is not None and spec.server != "azureml_batch":  # which works on files, not on requests
        attributes["sample_request"] = Local(sample)
    target = work.targets.add(
        spec.name, "model_package", attributes, comments=comments, remarks=remarks, kind="package"
    )
    _say_other_name(work, spec, target)
    return target


def _check_code(work: Work, spec: Specification, models: list[Model], *, mlflow: bool) -> None:
    """Note an error where a scoring script is missing: one MLflow model needs none."""
    if spec.server == "azureml_online" and spec.code is None and mlflow and len(models) > 1:
        names = ", ".join(display(model.path or model.uri or "") for model in models)
        hint = "name one of them with --model, or write a scoring script that loads them all"
        work.fail(
            spec.at(), f"without a scoring script one MLflow model is served, and here are several: {names}", hint
        )
    if spec.server in ("azureml_online", "azureml_batch") and spec.code is None and models and not mlflow:
        hint = "only an MLflow model needs none; write code_configuration: {code: src, scoring_script: score.py}"
        work.fail(spec.at(), f"'{spec.name}' has no code_configuration", hint)


def _say_other_name(work: Work, spec: Specification, target: Target) -> None:
    """Say that a package has another name here, where it differs from another one's in its capitals alone."""
    wanted = clean_name(spec.name)
    names = {one.name for one in work.targets.all if one.rule == "model_package"}
    if target.name.lower() == wanted.lower() or wanted in names or wanted.lower() not in map(str.lower, names):
        return
    said = f"{wanted} is named {target.name}: names of images know no capitals, and there is such a one"
    target.comments.append(said)
    work.note(f"{spec.document.shown}: {said}")


def _no_model(work: Work, spec: Specification) -> None:
    work.fail(spec.at(), f"'{spec.name}' has no model", "name it: --model PATH")


def _mode(work: Work, spec: Specification, models: list[Model]) -> str:
    """copy or download: as asked, else copy. Downloading a model that is only here is an error."""
    mode = work.options.mode or spec.mode or "copy"
    here = [model for model in models if model.path]
    if mode == "download" and here and work.options.download_uri is None:
        node = spec.at("mode")
        work.fail(
            node,
            f"mode download needs an address, and the model is '{display(here[0].path)}'",
            "put it into the image: --mode copy; or say where it lies when the container starts: --download-uri URI",
        )
    return mode


def _server(
    work: Work, spec: Specification, stands: Foundation, models: list[Target], code: Target | None
) -> Ref | str:
    """A rule's name, or a target of it where something is set."""
    if spec.server == "custom":
        return Ref(custom_server(work, spec, models, code))
    attributes: dict[str, Any] = dict(spec.server_attributes)
    comments = []
    if spec.server == "azureml_online" and stands.server_pin is not None:
        attributes["version"] = stands.server_pin
        comments.append("the environment pins azureml-inference-server-http")
    if not attributes:
        return spec.server
    return Ref(work.targets.add(f"{spec.name}-server", spec.server, attributes, comments=comments, kind="server"))
