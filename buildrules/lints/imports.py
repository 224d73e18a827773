"""Modules that the code imports and the environment lacks: the container would start, and die."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

from buildrules.lints.finding import ERROR, WARNING, Finding
from buildrules.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ast

_REMOVED = {
    9: ("dummy_threading",),
    10: ("formatter", "parser", "symbol"),
    11: ("binhex",),
    12: ("asynchat", "asyncore", "distutils", "imp", "smtpd"),
    13: (
        *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis"),
        *("nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    ),
}
"""Modules of the standard library and the minor version of Python 3 that no longer has them (What's New)."""
_ADDED = {
    **{"contextvars": 7, "dataclasses": 7},
    **{"graphlib": 9, "zoneinfo": 9},
    "tomllib": 11,
    **{"annotationlib": 14, "compression": 14},
}
"""Modules of the standard library and the minor version of Python 3 that has them first.

With these two the names of the Python that runs buildrules become those of the image's. What is left is its syntax: a
file that only a newer Python can parse is not looked at. So it is with modules whose names begin with `_`.
"""

DISTRIBUTIONS = {
    "attr": "attrs",
    "azureml.contrib.services": "azureml-contrib-services",
    "azureml.contrib.services.aml_request": "azureml-contrib-services",
    "azureml.contrib.services.aml_response": "azureml-contrib-services",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "google.cloud.storage": "google-cloud-storage",
    "jwt": "pyjwt",
    "Levenshtein": "levenshtein",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "psycopg2": "psycopg2-binary",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
"""Distributions whose module has another name."""


class Import(NamedTuple):
    """One import. `optional` ones are expected to fail; those in functions do not run when the container starts.

    `names` are what is taken from the module, of which some may be modules below it. Relative ones begin with dots.
    """

    module: str
    line: int
    column: int
    optional: bool
    in_function: bool
    names: tuple[str, ...] = ()


def imports_outside(trees: "Mapping[str, ast.Module | None]", entry: str | None) -> dict[str, list[Import]]:
    """What the code imports that is not in it, by the files of it that `entry` imports, directly or not.

    `trees` are the code's Python files by their names below its directory, None for one that cannot be parsed. If
    `entry` is none of them, all are looked at.
    """
    names = set(trees)
    waiting = [entry] if entry in names else sorted(names)
    found: dict[str, list[Import]] = {}
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = []
        tree = trees[name]
        for item in _walk(tree.body, optional=False, in_function=False) if tree is not None else ():
            local = _local(item.module, names, name)
            if local is None:
                found[name].append(item)
            else:
                waiting += local
                for below in item.names:
                    dot = "" if item.module.endswith(".") else "."
                    waiting += _local(f"{item.module}{dot}{below}", names, name) or ()
    return found


def missing_modules(
    imports: Mapping[str, Iterable[Import]],
    modules: Collection[str],
    python: str,
    *,
    made: Collection[str] = (),
    unseen: Collection[str] = (),
) -> Iterator[Finding]:
    """What files import (by their paths) that is neither in the standard library of `python` ("3.11") nor in `modules`.

    `modules` are what the environment's wheels provide, dotted where packages share their first name; of those that are
    `made` while the server runs only names can be taken. `unseen` are distributions of which nothing is known: what may
    be in one by its name is passed over, and of the rest nothing is sure. Each is told once.
    """
    reported: set[str] = set()
    minor = int(python.split(".")[1])
    for path, found in imports.items():
        for item in found:
            if item.optional or _standard(item.module, minor) or provides(modules, item.module):
                continue
            if item.names and item.module in made:
                continue
            top = item.module.partition(".")[0]
            if top not in reported and not may_provide(unseen, item.module):
                reported.add(top)
                yield _finding(item, path, minor, unseen)


def may_provide(unseen: Collection[str], module: str) -> bool:
    """Whether one of these distributions (normalised names) probably holds the module, by its name."""
    top = module.partition(".")[0]
    plain = {name.lower().replace("_", "-").replace(".", "-") for name in (top, module)}
    plain |= {DISTRIBUTIONS[name].lower() for name in (top, module) if name in DISTRIBUTIONS}
    return any(name in plain or not plain.isdisjoint(name.split("-")) for name in unseen)


def _finding(item: Import, path: str, minor: int, unseen: Collection[str]) -> Finding:
    top = item.module.partition(".")[0]
    gone = next((version for version, names in _REMOVED.items() if top in names and version <= minor), None)
    if gone is not None:
        message, hint = f"Python 3.{gone} has no module '{top}' any more", "import what replaced it"
    else:
        message = f"nothing in the environment provides the module '{item.module}'"
        if unseen:
            message += f", unless it is in what is built from source: {', '.join(sorted(unseen))}"
        other = DISTRIBUTIONS.get(item.module) or DISTRIBUTIONS.get(top)
        hint = "add it to the environment's requirements"
        hint += f": {other}" if other else ", or name the python_library that has it in `code:` of the package"
    severity = WARNING if item.in_function or (unseen and gone is None) else ERROR
    return Finding("missing_module", severity, message, path, item.line, item.column, hint)


def provides(modules: Collection[str], module: str) -> bool:
    """Whether `module` is one of `modules`, below one of them, or the first part of one that is shared."""
    parts = module.split(".")
    if any(".".join(parts[: count + 1]) in modules for count in range(len(parts))):
        return True
    below = f"{module}."
    return any(other.startswith(below) for other in modules)


def _standard(module: str, minor: int) -> bool:
    top = module.partition(".")[0]
    for version, removed in _REMOVED.items():
        if top in removed:
            return minor < version
    if top in _ADDED:
        return minor >= _ADDED[top]
    return top in sys.stdlib_module_names


def _local(module: str, names: Collection[str], importer: str) -> list[str] | None:
    """The files of the code that are this module; None if it is none of the code's. Any folder may be on the path."""
    folder = importer.rpartition("/")[0]
    steps = module.lstrip(".").split(".")
    if module.startswith("."):
        for _ in range(len(module) - len(module.lstrip(".")) - 1):
            folder = folder.rpartition("/")[0]
        return _files(folder, steps, names)
    top = steps[0]
    roots = dict.fromkeys(["", folder, *(name.rpartition("/")[0].partition("/")[0] for name in names)])
    for root in roots:
        base = f"{root}/" if root else ""
        if f"{base}{top}.py" in names:
            return [f"{base}{top}.py"]
        if any(name.startswith(f"{base}{top}/") for name in names):
            return _files(root, steps, names)
    return None


def _files(folder: str, steps: list[str], names: Collection[str]) -> list[str]:
    """The files that run when the module of these steps below `folder` is imported."""
    tried = ["/".join(filter(None, (folder, *steps[: count + 1]))) for count in range(len(steps))]
    return [file for part in tried for ending in (".py", "/__init__.py") if (file := f"{part}{ending}") in names]


def _walk(nodes: "Iterable[ast.AST]", *, optional: bool, in_function: bool) -> "Iterable[Import]":
    import ast

    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, node.col_offset + 1, optional, in_function)
        elif isinstance(node, ast.ImportFrom):
            taken = tuple(alias.name for alias in node.names)
            yield from (
                Import(name, node.lineno, node.col_offset + 1, optional, in_function, taken) for name in _from(node)
            )
        elif isinstance(node, ast.Try) and any(_catches(handler) for handler in node.handlers):
            yield from _walk(node.body, optional=True, in_function=in_function)
            for handler in node.handlers:
                yield from _walk(handler.body, optional=True, in_function=in_function)
            yield from _walk([*node.orelse, *node.finalbody], optional=optional, in_function=in_function)
        elif isinstance(node, ast.If) and _never_runs(node.test):
            yield from _walk(node.orelse, optional=optional, in_function=in_function)
        else:
            deeper = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(ast.iter_child_nodes(node), optional=optional, in_function=in_function or deeper)


def _from(node: "ast.ImportFrom") -> list[str]:
    """`from google.cloud import storage` may name a module below: what is shared is told apart by it."""
    if node.level or not node.module:
        return ["." * node.level + (node.module or "")]
    if node.module in ("google", "google.cloud", "azure", "azure.ai") and node.names[0].name != "*":
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [node.module]


def _catches(handler: "ast.ExceptHandler") -> bool:
    import ast

    if handler.type is None:
        return True
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    wide = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
    return any(isinstance(name, ast.Name) and name.id in wide for name in names)


def _never_runs(test: "ast.expr") -> bool:
    import ast

    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
