"""What a rule says of one attribute of its targets.

Imports pydantic; only imported when rules are read.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from buildrules.workspace.validation import Strict

Provider = Literal["base", "env", "server", "model", "input", "code", "library", "files", "package", "test"]
PROVIDERS: tuple[str, ...] = Provider.__args__  # type: ignore[attr-defined]

AttributeType = Literal[
    "string", "name", "integer", "number", "boolean", "label", "labels", "path", "paths", "globs", "string_list",
    "string_map", "path_map", "requirements", "ports", "routes", "name_version", "map", "integers", "json", "record",
    "records",
]  # fmt: skip

NUMBERS = ("integer", "number")
LISTS = ("labels", "paths", "globs", "string_list", "requirements", "ports", "integers")
RECORDS = ("record", "records")
MAPS = ("string_map", "path_map", "routes", "map")

RESERVED = frozenset({"rule", "visibility", "description"})


_ONE_OR_MORE = BeforeValidator(lambda said: [said] if isinstance(said, str) else said)


class Attribute(Strict):
    """What a target may or must say."""

    type: AttributeType
    """Type of the value."""
    doc: str = ""
    """What it is for, in a sentence or two."""
    default: Any = None
    """Value if it is left out; may hold `{target.name}` and `{target.package}`."""
    required: bool = False
    """Whether it must be given."""
    choices: list[str] | None = None
    """The only values allowed; for texts."""
    variants: dict[str, dict[str, str | list[str]]] = Field(default_factory=dict)
    """For each choice, texts and lists that templates of the rule name as `{ATTRIBUTE.KEY}`; templates themselves."""
    refused: dict[str, str] = Field(default_factory=dict)
    """Values that are known and not possible, with the reason."""
    minimum: int | float | None = None
    """The smallest number allowed."""
    maximum: int | float | None = None
    """The largest number allowed."""
    provider: Annotated[list[Provider] | None, _ONE_OR_MORE] = None
    """What the named targets must provide; for labels. Globs that have it may hold labels."""
    rule_name: bool = False
    """Whether the name of a rule, used with its defaults, may stand for a label."""
    example: Any = None
    """A value for the documentation."""
    fields: "dict[str, Attribute]" = Field(default_factory=dict)
    """What each map may or must say; for records."""
    switch: bool = False
    """Whether `true` may stand for a map that says nothing, and `false` for none; for a record."""
    at_most_one: list[list[str]] = Field(default_factory=list)
    """Groups of fields of which at most one is set; for records."""

    @model_validator(mode="before")
    @classmethod
    def _variants_are_choices(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("variants"), dict) and "choices" not in data:
            return {**data, "choices": list(data["variants"])}
        return data

    @model_validator(mode="after")
    def _fits(self) -> "Attribute":
        if bool(self.fields) != (self.type in RECORDS):
            raise ValueError(f"records, and only they, have 'fields'; the type is '{self.type}'")
        if self.switch and self.type != "record":
            raise ValueError(f"'switch' is for a record, not for the type '{self.type}'")
        if any(name not in self.fields for group in self.at_most_one for name in group):
            raise ValueError("'at_most_one' names fields of the record")
        if any(field.type in ("label", "labels") for field in self.fields.values()):
            raise ValueError("a field of a record cannot be a label")
        if self.provider and self.type not in ("label", "labels", "globs"):
            raise ValueError(f"'provider' is for labels, not for the type '{self.type}'")
        if self.rule_name and self.type != "label":
            raise ValueError(f"'rule_name' is for a label, not for the type '{self.type}'")
        if (self.minimum is not None or self.maximum is not None) and self.type not in NUMBERS:
            raise ValueError(f"'minimum' and 'maximum' are for numbers, not for the type '{self.type}'")
        if (self.choices or self.refused) and self.type != "string":
            raise ValueError(f"'choices', 'variants' and 'refused' are for strings, not for the type '{self.type}'")
        unknown = next((name for name in self.variants if name not in (self.choices or ())), None)
        if unknown is not None:
            raise ValueError(f"the variant '{unknown}' is not one of the choices")
        if self.required and self.default is not None:
            raise ValueError("a required attribute has no use for a default")
        return self
