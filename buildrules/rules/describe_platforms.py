"""The generated reference page of platforms, in Markdown."""

from collections.abc import Iterator

from buildrules.rules.describe import row
from buildrules.rules.platform import LISTS, NAMES, SINGLE, PlatformFile
from buildrules.rules.platforms import Platforms
from buildrules.rules.schema import docs_of

_HEAD = """# Platforms

Generated from the platform files; `buildrules deploy-files --list` prints the list, with `--for PLATFORM` one of them.
[Deploy](../how-to/deploy.md) shows how they are used.
"""
_FILE = """
## Platform files

A platform is a YAML file: a built-in one lies in `rules/deploy`, a workspace's own anywhere in it, and is named by a
label (`--for //rules/deploy:nomad` is `rules/deploy/nomad.yaml`). Unknown keys and names are errors with file, line
and column.

| key | meaning |
|---|---|
"""
_NAMES = """
Documents are data whose texts are templates, in keys as well: `{name}`, and `{{` for a brace. A template that is all
of a text keeps the type of what it names. An entry or item whose name has no value is left out, and so is a map or
list of which nothing is left. A map with `each: LIST` stands for itself once for each item of the list, with its
fields as `{each.FIELD}`; an `item` beside `each` is what the items of a list are, where they are no maps. What ends
in `.json` is written as JSON, all else as YAML. A file that is there is replaced if the words
`made by buildrules deploy-files` stand in the first line of its YAML, or near the beginning of its JSON: there the
platform has them in a value of its own.

| name | meaning |
|---|---|
"""


def reference() -> str:
    """The page of the built-in platforms, and of what a platform file may say."""
    return _HEAD + "".join(_lines())


def _lines() -> Iterator[str]:
    for platform in Platforms().all():
        file = platform.file
        yield f"\n## {platform.reference}\n\n{file.summary}\n\n{file.doc.strip()}\n"
        yield "\n| attribute | type | default | meaning |\n|---|---|---|---|\n"
        yield from (f"{row(name, item)}\n" for name, item in file.attributes.items())
        paths = ", ".join(f"`{path}`" for path in dict.fromkeys([*file.files, *file.jobs]))
        yield f"\n- Files: {paths}\n"
        yield from (f"- Needs a route `{route}`.\n" for route in file.needs)
        yield from (f"- Refuses `{what}`: {reason}.\n" for what, reason in file.refuses.items())
    yield _FILE
    yield from (f"| `{name}` | {text} |\n" for name, text in docs_of(PlatformFile).items())
    yield _NAMES
    yield from (f"| `{name}` | {text} |\n" for name, text in NAMES.items())
    yield "\n| list | fields |\n|---|---|\n"
    for name, fields in LISTS.items():
        one = "; at most one, so `{" + f"{name}.{next(iter(fields))}" + "}` names it as well" if name in SINGLE else ""
        yield f"| `{name}` | {', '.join(f'`{field}`: {text}' for field, text in fields.items())}{one} |\n"
