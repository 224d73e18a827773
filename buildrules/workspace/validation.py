"""What pydantic finds wrong, said in the words of the file: place, culprit, way out.

Imports pydantic; only imported when a BUILD.yaml or a rule is read.
"""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import Position
from buildrules.workspace.suggest import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A section of a file: nothing unknown, nothing converted, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


def fitting(fits: Callable[[str], object], wrong: str) -> AfterValidator:
    """A validator of texts: of one that does not fit it says `wrong`, with the text at `{}`."""

    def check(value: str) -> str:
        if not fits(value):
            raise ValueError(wrong.replace("{}", f"'{value}'", 1))
        return value

    return AfterValidator(check)


def validate(
    model: type[Model], node: Node, problems: Problems, what: str, data: dict[str, Any] | None = None
) -> Model | None:
    """Read a map node as `model`. Errors are noted in `problems` with their places; then None comes back.

    `what` names the section in messages: "workspace", "rule". `data` stands in for the node's own value where it
    was merged with something else.
    """
    if node.kind != "map":
        problems.add_error(node.error(f"{what} must be a map, not {node.describe()}"))
        return None
    before = len(problems)
    try:
        found = model.model_validate(node.value(problems) if data is None else data)
        return found if len(problems) == before else None
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(model, node, detail, problems, what)
        return None


def _report(model: type[BaseModel], node: Node, detail: Any, problems: Problems, what: str) -> None:
    path = tuple(detail["loc"])
    place = node.find(path)
    kind = detail["type"]
    written = path if kind in ("missing", "extra_forbidden") else _written(node, path)
    key = next((step for step in reversed(written) if isinstance(step, str)), what)
    position = place.position
    hint = None
    if kind == "extra_forbidden":
        parent = node.find(path[:-1])
        key_node = parent.keys.get(key)
        position = key_node.position if key_node is not None else position
        message = f"unknown key '{key}'"
        hint = did_you_mean(key, _known_keys(model, path[:-1]), what="known keys")
    elif kind == "missing":
        where = ".".join(str(step) for step in path[:-1]) or what
        message = f"'{key}' is missing in {where}"
    elif kind == "literal_secret":
        message, hint = detail["msg"], detail["ctx"]["hint"]
        position = Position(position.path, position.line, position.column)  # no excerpt: it would show the secret
    elif kind == "string_type":
        message = f"'{key}': expected a text, not {place.describe()}"
        if place.kind == "scalar" and place.plain and not place.is_null:
            hint = f'quote it: "{place.text}"'
    elif kind == "literal_error":
        message = f"'{key}': {place.describe()} is not one of the choices"
        choices = [word.strip("' ") for word in detail["ctx"]["expected"].replace(" or ", ",").split(",")]
        hint = did_you_mean(place.text, choices, what="choices")
    elif kind == "bool_type":
        message, hint = f"'{key}': expected true or false, not {place.describe()}", "write true or false"
    elif kind in _EXPECTED:
        message = f"'{key}': expected {_EXPECTED[kind]}, not {place.describe()}"
    elif "error" in detail.get("ctx", {}):
        message = str(detail["ctx"]["error"])  # a ValueError of our own
    else:
        text = detail["msg"]
        message = f"'{key}': {text[0].lower()}{text[1:]}"
        hint = detail.get("ctx", {}).get("hint")
    if not problems.has(position):
        problems.add(message, hint=hint, position=position)


def _written(node: Node, path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The steps of a validator's path that stand in the document, without its names for the members of a union."""
    found = []
    for step in path:
        below = node.find((step,))
        if below is not node:
            found.append(step)
            node = below
    return tuple(found)


_EXPECTED = {
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "int_type": "a whole number",
    "float_type": "a number",
}


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> set[str]:
    """The keys that may stand at `path`: follow the fields' annotations, skipping keys of maps and indexes."""
    models = {model}
    for step in path:
        below: set[type[BaseModel]] = set()
        for candidate in models:
            for name, field in candidate.model_fields.items():
                if step in (name, field.alias):
                    below |= _models(field.annotation)
        models = below or models
    return {field.alias or name for candidate in models for name, field in candidate.model_fields.items()}


def _models(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in _models(part)}
