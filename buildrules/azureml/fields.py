"""A map of an Azure ML file, read attribute by attribute.

Azure ML writes one attribute in two ways: snake_case in YAML (`target_environment`), camelCase in the JSON of its REST
interface (`targetEnvironmentId`). Both are taken everywhere, and what is unknown is an error with its place.
Scalars are read more gently than in a BUILD.yaml: `version: 1.0` is the text "1.0", as it is written.
"""

import re
from collections.abc import Mapping, Sequence

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.workspace.suggest import did_you_mean, nearest

__all__ = ["READ_ONLY", "Section", "camel", "plain_text", "word"]

READ_ONLY = (
    "id", "resource_group", "location", "kind", "sku", "identity", "etag", "provisioning_state", "creation_context",
    "system_data", "system_metadata", "utc_time_created", "latest_version", "is_archived", "is_anonymous",
    "intellectual_property", "base_path", "origin",
)  # fmt: skip
"""What the service and its tools add to what they print, of any kind of asset or deployment: left out unsaid."""


def camel(name: str) -> str:
    """`scoring_route` as REST spells it: `scoringRoute`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def word(text: str) -> str:
    """A value without its case and joints, to compare spellings: "azureml_online" and "AzureMLOnline" are one."""
    return re.sub(r"[\s_-]+", "", text).lower()


def plain_text(node: Node, what: str = "a text") -> str:
    """The text of a scalar as it is written. Raises LoadError for anything else."""
    if node.kind != "scalar":
        raise node.error(f"expected {what}, not {node.describe()}")
    return node.text


class Section:
    """One map. `names` are its attributes in snake_case, `aliases` further spellings of them; those in `also` are
    taken, but nobody is told of them.

    Problems go to `problems`; a getter then gives None. An attribute that is null counts as not given.
    """

    def __init__(
        self,
        node: Node,
        what: str,
        names: Sequence[str],
        problems: Problems,
        aliases: Mapping[str, str] | None = None,
        also: Sequence[str] = (),
    ) -> None:
        self.given = node
        self.what = what
        self.problems = problems
        self._nodes: dict[str, Node] = {}
        self._keys: dict[str, Node] = {}
        self._meant: set[str] = set()  # what unknown attributes may have been meant to be
        if node.kind != "map":
            problems.add_error(node.error(f"{what} must be a map, not {node.describe()}"))
            return
        spelled = {name: name for name in names} | {camel(name): name for name in names} | dict(aliases or {})
        spelled |= {name: name for name in also} | {camel(name): name for name in also}
        for key, value in node.entries.items():
            name = spelled.get(key)
            key_node = node.keys[key]
            if name is None:
                near = nearest(key.replace("_", ""), [name.replace("_", "") for name in names])
                self._meant |= {name for name in names if near is not None and name.replace("_", "") == near}
                wanted = [name if "_" in key or key.islower() else camel(name) for name in names]
                hint = did_you_mean(key, wanted, what=f"attributes of {what}", limit=16)
                problems.add_error(key_node.error(f"{what} has no attribute '{key}'", hint))
            elif name in self._nodes:
                first = self._keys[name]
                problems.add_error(
                    key_node.error(
                        f"'{key}' and '{first.text}' are two spellings of one attribute", "leave one of them out"
                    )
                )
            elif not value.is_null:
                self._nodes[name], self._keys[name] = value, key_node

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    @property
    def names(self) -> list[str]:
        """The attributes that are given, in file order."""
        return list(self._nodes)

    def node(self, name: str) -> Node | None:
        """The value of an attribute."""
        return self._nodes.get(name)

    def key(self, name: str) -> Node:
        """The attribute's name as it stands in the file; the section itself where it is not given."""
        return self._keys.get(name, self.given)

    def missing(self, name: str, hint: str | None = None) -> None:
        """Note that an attribute is needed; not where an unknown one was probably meant to be it."""
        if self.given.kind == "map" and name not in self._meant:
            self.problems.add_error(self.given.error(f"{self.what} needs '{name}'", hint))

    def text(self, name: str, *, required: bool = False, hint: str | None = None) -> str | None:
        """A text."""
        node = self._nodes.get(name)
        if node is None:
            if required:
                self.missing(name, hint)
            return None
        if node.kind != "scalar":
            self.problems.add_error(node.error(f"'{name}' must be a text, not {node.describe()}"))
            return None
        if "\0" in node.text or not node.text.strip():
            self.problems.add_error(node.error(f"'{name}' is empty or holds a NUL character"))
            return None
        return node.text.strip()

    def image_path(self, name: str) -> str | None:
        """A directory in the image, absolute or below its working directory; `.` is that itself."""
        text = self.text(name)
        if text is None:
            return None
        plain = text.rstrip("/")
        parts = plain.removeprefix("/").split("/")
        odd = not text.isprintable() or any(part in ("", "..") or part.startswith(".wh.") for part in parts)
        if odd or len(plain) > 1000 or (plain.startswith("/") and "." in parts):
            hint = "such as /models or data/labels: no `..`, no `//`, and not the root itself"
            self.problems.add_error(self._nodes[name].error(f"'{text}' is not a directory in an image", hint))
            return None
        return plain

    def choice(self, name: str, choices: Sequence[str], *, required: bool = False) -> str | None:
        """One of `choices`, in whatever spelling; the choice comes back as it stands in `choices`."""
        text = self.text(name, required=required)
        if text is None:
            return None
        found = next((choice for choice in choices if word(choice) == word(text)), None)
        if found is None:
            node = self._nodes[name]
            hint = did_you_mean(text, choices, what="choices")
            self.problems.add_error(node.error(f"'{text}' is not one of the choices of '{name}'", hint))
        return found

    def integer(self, name: str, *, minimum: int | None = None, maximum: int | None = None) -> int | None:
        """A whole number, quoted or not."""
        text = self.text(name)
        if text is None:
            return None
        node = self._nodes[name]
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            self.problems.add_error(node.error(f"'{name}' must be a whole number, not {node.describe()}"))
            return None
        value = int(text)
        if minimum is not None and value < minimum:
            self.problems.add_error(node.error(f"'{name}': {value} is too small", f"the smallest value is {minimum}"))
            return None
        if maximum is not None and value > maximum:
            self.problems.add_error(node.error(f"'{name}': {value} is too large", f"the largest value is {maximum}"))
            return None
        return value

    def texts(self, name: str) -> dict[str, str]:
        """A map of texts; numbers and booleans as they are written."""
        node = self._nodes.get(name)
        if node is None:
            return {}
        if node.kind != "map":
            self.problems.add_error(node.error(f"'{name}' must be a map, not {node.describe()}"))
            return {}
        found = {}
        for key, value in node.entries.items():
            if value.kind != "scalar":
                self.problems.add_error(value.error(f"'{key}' must be a text, not {value.describe()}"))
            elif not key or len(key) > 500 or "\0" in key + value.text:
                self.problems.add_error(
                    node.keys[key].error("a name is empty or too long, or it holds a NUL character")
                )
            else:
                found[key] = "" if value.is_null else value.text
        return found

    def items(self, name: str) -> list[Node]:
        """The items of a list."""
        node = self._nodes.get(name)
        if node is None:
            return []
        if node.kind != "list":
            self.problems.add_error(node.error(f"'{name}' must be a list, not {node.describe()}"))
            return []
        return node.items

    def section(self, name: str, names: Sequence[str], aliases: Mapping[str, str] | None = None) -> "Section | None":
        """A map of its own."""
        node = self._nodes.get(name)
        return None if node is None else Section(node, f"'{name}'", names, self.problems, aliases)
