"""The language of rule files: what may stand in `rules/NAME.yaml`.

Imports pydantic; only imported when rules are read.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from buildrules.rules.attribute import RESERVED, Attribute, Provider
from buildrules.workspace.validation import Strict, fitting

_RULE_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_NEED = re.compile(r"always|optional|never|unless model is [a-z][a-z0-9_]*", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?<!\.yaml)", re.ASCII)


FileName = Annotated[str, fitting(_FILE_NAME.fullmatch, "{} is not the name of a file beside the rule's own")]
RuleName = Annotated[
    str, fitting(_RULE_NAME.fullmatch, "{} is not a rule's name: use lower-case letters, digits and `_`")
]
Need = Annotated[str, fitting(_NEED.fullmatch, "{} is not one of always, optional, never, unless model is FLAVOUR")]


class ModelFile(Strict):
    """A kind of model file."""

    suffix: str
    """What its name ends with."""
    what: str
    """What people call it."""
    hint: str
    """How to get one."""


class Requires(Strict):
    """What a package must have to use this server."""

    code: Need = "optional"
    """`always`, `optional`, `never`, or `unless model is FLAVOUR`."""
    model: Literal["always", "optional", "never"] = "always"
    """`always`, `optional` or `never`."""
    models: Literal["one", "several"] = "one"
    """Whether a package may have several models."""
    versions: Literal["any", "numbers"] = "any"
    """Whether a model's version must be a number, because the server reads it from the name of a folder."""
    flavour: str | None = None
    """The only flavour of models it serves; any if left out."""
    functions: list[str] = Field(default_factory=list)
    """Functions the entry script must define, because the server calls them."""
    module: str | None = None
    """A template of `MODULE:OBJECT`: a module that must be among the files of the code."""
    file: ModelFile | None = None
    """What a model must be, where it must be a file of one kind."""


class PythonPart(Strict):
    """What goes into the Python environment."""

    requirements: list[str] | str = Field(default_factory=list)
    """Requirements (PEP 508), resolved on top of the environment's."""
    constraints: list[str] = Field(default_factory=list)
    """Limits on versions (PEP 508) of what the requirements bring along."""
    modules: list[str] = Field(default_factory=list)
    """Modules that it makes while it runs, without a file of theirs: code may say `from MODULE import NAME`."""


class Layout(Strict):
    """Where things go in the image. Absolute paths."""

    model: str | None = None
    """Directory that holds the model's folder or file."""
    versions: str | None = None
    """The same for a folder that holds folders of versions, named by numbers: its contents go there directly."""
    repository: str | None = None
    """The same for a folder that holds folders of models with such versions."""
    mount_path: Literal["model", "root"] = "model"
    """What the `mount_path` of a package with one model stands for: `model`, or the part of it that models share."""
    keep_folder: bool | str = True
    """Whether the model's folder keeps its name below `model`; otherwise its contents go there directly."""
    code: str | None = None
    """Directory of the code."""


class Layer(Strict):
    """One more layer, made by a kind of action."""

    action: str
    """Kind of action: a built-in one or one of `workspace.plugins`."""
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    """Its parameters."""


class Image(Strict):
    """What goes into the image's configuration."""

    environment: dict[str, str | int | bool] | str = Field(default_factory=dict)
    """Environment variables. One whose template has no value is left out."""
    path: list[str] | str = Field(default_factory=list)
    """Directories to put in front of the base's PATH."""
    entrypoint: list[str | list[str]] | str = Field(default_factory=list)
    """The command. A list in it stands for its words, and is left out if a template in it has no value."""
    cmd: list[str | list[str]] | str = Field(default_factory=list)
    """Its arguments; lists in it as in `entrypoint`."""
    ports: list[int | str] | str = Field(default_factory=list)
    user: str | None = None
    """User (and group) to run as: ids, or names the base knows."""
    working_dir: str | None = None
    stop_signal: str | None = None
    """Signal that asks it to stop, SIGTERM if left out. As process 1 it gets only signals it has a handler for."""
    labels: dict[str, str | int | bool] | str = Field(default_factory=dict)


class Route(Strict):
    """A port and a path on it."""

    path: str
    port: int | str


class Routes(Strict):
    """Where the server answers, as `PORT/path` or {path, port}."""

    liveness: str | Route | None = None
    """Answers once the process lives."""
    readiness: str | Route | None = None
    """Answers once requests can be served."""
    scoring: str | Route | None = None
    """Takes requests."""


class Job(Strict):
    """A program that works on a folder and ends, instead of answering at routes: what a test of it needs to know."""

    input: str
    """The folder whose files it works on. Absolute path."""
    output: str
    """The folder it writes to. Absolute path."""
    result: str | None = None
    """The file in `output` that holds what it found."""


def _as_text_file(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class GeneratedFile(Strict):
    """A file whose content the rule gives: a text is the content itself; a map says what it is made of."""

    text: str | None = None
    """The content, a template. Braces are written `{{` and `}}`."""
    json_: Any = Field(default=None, alias="json")
    """The content as data, written as JSON. Texts in it are templates; one that stands alone keeps its type."""
    each_model: str | None = None
    """A template that is filled in for each model of the package, one behind the other."""
    before: str = ""
    """What stands in front of `each_model`."""
    after: str = ""
    """What follows `each_model`."""
    source: FileName | None = None
    """A file beside the rule's own, taken as it is: no template."""

    @field_validator("json_")
    @classmethod
    def _data(cls, value: Any) -> Any:
        if not isinstance(value, dict | list):
            raise ValueError(f"'json' is a map or a list, not '{value}'")  # noqa: TRY004  pydantic wants a ValueError
        return value

    @model_validator(mode="after")
    def _one_content(self) -> "GeneratedFile":
        if sum(content is not None for content in (self.text, self.json_, self.each_model, self.source)) != 1:
            raise ValueError("a file is one of a text, `json`, `each_model` and `source`")
        if self.each_model is None and (self.before or self.after):
            raise ValueError("'before' and 'after' belong to 'each_model'")
        return self


class FileBeside(Strict):
    """A text in a file of its own."""

    source: FileName
    """A file beside the rule's own, taken as it is."""


class WithoutCode(Strict):
    """What stands in for the code of a package that has none."""

    name: str
    """Stands for `{code.name}`."""
    entry_script: str | None = None
    """Stands for `{code.entry_script}`."""
    directory: str | None = None
    """Stands for `{layout.code}`."""
    files: dict[str, str | FileBeside] = Field(default_factory=dict)
    """Texts by path below `{layout.code}`, or `{source: FILE}`. Not templates."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables besides those of `image`. One whose template has no value is left out."""
    requirements: list[str] = Field(default_factory=list)
    """What they need besides `python.requirements`."""


class RuleFile(Strict):
    """A rule: a kind of target."""

    rule: RuleName
    """Its name, the same as the file's."""
    provides: Provider
    """What its targets are for others."""
    summary: str = ""
    """One line for lists."""
    doc: str = ""
    """What to know before using it, in Markdown."""
    extends: str | None = None
    """A rule to take everything over from that is not said here: a built-in's name or a label. Maps are merged."""
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    """What a target may or must say."""
    exactly_one: list[list[str]] = Field(default_factory=list)
    """Groups of attributes of which exactly one is set."""
    at_most_one: list[list[str]] = Field(default_factory=list)
    """Groups of attributes of which at most one is set."""
    only_with: dict[str, list[str]] = Field(default_factory=dict)
    """Attributes that mean something only if one of others is set."""
    requires: Requires | None = None
    python: PythonPart | None = None
    layout: Layout | None = None
    layers: list[Layer] = Field(default_factory=list)
    """Layers besides those that come with `provides`."""
    image: Image | None = None
    routes: Routes | str | None = None
    job: Job | None = None
    mlflow_example: Literal["mlflow", "input_data", "file"] | None = None
    """How it takes the example request of an MLflow model: as it is, with Azure ML's key, or as a file of its job."""
    files: dict[str, Annotated[GeneratedFile, BeforeValidator(_as_text_file)]] = Field(default_factory=dict)
    """Files to write into the image, by absolute path. Files of the model and the code win over them."""
    model_files: dict[str, Annotated[GeneratedFile, BeforeValidator(_as_text_file)]] = Field(default_factory=dict)
    """The same once for each model of the package, with its name, version and place."""
    without_code: WithoutCode | None = None

    @model_validator(mode="after")
    def _sound(self) -> "RuleFile":
        for name in self.attributes:
            if not _RULE_NAME.fullmatch(name):
                raise ValueError(f"'{name}' is not an attribute's name: use lower-case letters, digits and `_`")
            if name in RESERVED:
                raise ValueError(f"every target has '{name}' already; a rule cannot define it")
        groups = self.exactly_one + self.at_most_one + [[name, *others] for name, others in self.only_with.items()]
        unknown = next((name for group in groups for name in group if name not in self.attributes), None)
        if unknown is not None:
            raise ValueError(f"'{unknown}' is not an attribute of rule '{self.rule}'")
        return self
