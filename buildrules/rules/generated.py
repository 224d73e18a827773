"""Files whose content a rule gives: `files` and `model_files`, filled in."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.errors import LoadError
from buildrules.rules.language import GeneratedFile
from buildrules.rules.paths import image_path
from buildrules.rules.rule import Rule
from buildrules.rules.template import MissingValueError, as_text, substitute, substitute_list


def generated_files(rule: Rule, names: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The texts of a rule's files by absolute path in the image.

    `names` are the values of templates, `models` those that belong to each model of the package (`model.name`,
    `layout.model` and their like). A file with a name that has no value, in its path or its text, is left out; so is an
    entry of `json`. Raises LoadError for a path that makes no sense, and where two models would share a file.
    """
    found: dict[str, str] = {}
    for template, file in rule.file.files.items():
        _add(rule, found, template, file, names, [{**names, **model} for model in models])
    for template, file in rule.file.model_files.items():
        for model in models:
            scope = {**names, **model}
            if not _add(rule, found, template, file, scope, [scope]):
                path = substitute(template, scope)
                raise LoadError(
                    f"rule '{rule.name}' would write '{path}' for two models",
                    hint="give the models different names or versions",
                )
    return found


def _add(
    rule: Rule,
    found: dict[str, str],
    template: str,
    file: GeneratedFile,
    names: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
) -> bool:
    """Whether the file's place was free."""
    try:
        path = image_path(as_text(substitute(template, names)))
        text = _content(file, names, models) if file.source is None else rule.texts[file.source]
    except MissingValueError:
        return True
    except LoadError as error:
        raise LoadError(f"rule '{rule.name}' cannot write a file: {error.message}", hint=error.hint) from error
    if path in found:
        return False
    found[path] = text
    return True


def _content(file: GeneratedFile, names: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    if file.json_ is not None:
        return json.dumps(_fill(file.json_, names), indent=2, ensure_ascii=False) + "\n"
    if file.each_model is None:
        return as_text(substitute(file.text, names))
    # Versions of one model are one entry where the text does not speak of the version.
    items = list(dict.fromkeys(as_text(substitute(file.each_model, model)) for model in models))
    before, after = (as_text(substitute(text, names)) for text in (file.before, file.after))
    return "".join([before, *items, after])


def _fill(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        filled = {}
        for key, item in value.items():
            try:
                filled[as_text(substitute(key, names))] = _fill(item, names)
            except MissingValueError:
                continue
        return filled
    if isinstance(value, list):
        items: list[Any] = []
        for item in value:
            try:
                items += substitute_list([item], names) if isinstance(item, str) else [_fill(item, names)]
            except MissingValueError:
                continue
        return items
    return substitute(value, names)
