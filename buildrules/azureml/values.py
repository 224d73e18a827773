"""How values of Azure ML files are read: more gently than in a BUILD.yaml. `version: 1.0` is the text "1.0"."""

import re
from collections.abc import Callable

from buildrules.azureml.table import Value
from buildrules.workspace.suggest import did_you_mean


def word(text: str) -> str:
    """A value without its case and joints, to compare spellings: "azureml_online" and "AzureMLOnline" are one."""
    return re.sub(r"[\s_-]+", "", text).lower()


def text(value: Value) -> str:
    """A text, as it is written."""
    node = value.node
    if node.kind != "scalar":
        raise node.error(f"'{value.name}' must be a text, not {node.describe()}")
    if "\0" in node.text or not node.text.strip():
        raise node.error(f"'{value.name}' is empty or holds a NUL character")
    return node.text.strip()


def texts(value: Value) -> dict[str, str]:
    """A map of texts; numbers and booleans as they are written."""
    if value.node.kind != "map":
        raise value.node.error(f"'{value.name}' must be a map, not {value.node.describe()}")
    found = {}
    for key, node in value.node.entries.items():
        if node.kind != "scalar":
            value.problems.add_error(node.error(f"'{key}' must be a text, not {node.describe()}"))
        elif not key or len(key) > 500 or "\0" in key + node.text:
            message = "a name is empty or too long, or it holds a NUL character"
            value.problems.add_error(value.node.keys[key].error(message))
        else:
            found[key] = "" if node.is_null else node.text
    return found


def choice(*choices: str, otherwise: tuple[str, str] | None = None) -> Callable[[Value], str]:
    """One of `choices` in whatever spelling, as it stands in `choices`.

    `otherwise` is the error for what is none of them: a message with `{}` for what was written, and a hint.
    """

    def read(value: Value) -> str:
        said = text(value)
        found = next((one for one in choices if word(one) == word(said)), None)
        if found is not None:
            return found
        if otherwise is not None:
            raise value.node.error(otherwise[0].replace("{}", said), otherwise[1] or None)
        hint = did_you_mean(said, choices, what="choices")
        raise value.node.error(f"'{said}' is not one of the choices of '{value.name}'", hint)

    return read


def whole(minimum: int, maximum: int | None = None) -> Callable[[Value], int]:
    """A whole number, quoted or not."""

    def read(value: Value) -> int:
        said = text(value)
        if not re.fullmatch(r"-?[0-9]{1,18}", said):
            raise value.node.error(f"'{value.name}' must be a whole number, not {value.node.describe()}")
        number = int(said)
        if number < minimum:
            raise value.node.error(f"'{value.name}': {number} is too small", f"the smallest value is {minimum}")
        if maximum is not None and number > maximum:
            raise value.node.error(f"'{value.name}': {number} is too large", f"the largest value is {maximum}")
        return number

    return read


def switch(value: Value) -> bool | None:
    """True where it is switched on."""
    return text(value) in ("true", "True", "TRUE") or None


def milliseconds(value: Value) -> int:
    """An ISO 8601 duration as REST writes it: PT5S, PT1M30S."""
    said = text(value)
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", said)
    if found is None or not any(found.groups()):
        raise value.node.error(f"'{said}' is not a duration", "write it like PT5S")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return int((hours * 3600 + minutes * 60 + seconds) * 1000)


def seconds(value: Value) -> int:
    """A duration, or a whole number of seconds."""
    return milliseconds(value) // 1000 if text(value).startswith("PT") else whole(1)(value)


def image_path(value: Value) -> str:
    """A directory in the image, absolute or below its working directory; `.` is that itself."""
    said = text(value)
    plain = said.rstrip("/")
    parts = plain.removeprefix("/").split("/")
    odd = not said.isprintable() or any(part in ("", "..") or part.startswith(".wh.") for part in parts)
    if odd or len(plain) > 1000 or (plain.startswith("/") and "." in parts):
        hint = "such as /models or data/labels: no `..`, no `//`, and not the root itself"
        raise value.node.error(f"'{said}' is not a directory in an image", hint)
    return plain


def absolute_path(value: Value) -> str:
    """A directory in the image from its root on."""
    found = image_path(value)
    if not found.startswith("/"):
        raise value.node.error(f"'{value.name}' must be absolute, not '{found}'")
    return found


def route_path(value: Value) -> str:
    """The path of an address, with a slash before it."""
    said = text(value)
    if any(char.isspace() or char < " " for char in said):
        raise value.node.error(f"'{said}' is not the path of an address")
    return said if said.startswith("/") else f"/{said}"


def asset_name(value: Value) -> str:
    """The name or version of an asset."""
    said = text(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", said):
        raise value.node.error(f"'{said}' is not a good {value.name}", "letters, digits and `_ . -`")
    return said
