"""The scoring code of a package: the folder its script stands in."""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from buildrules.authoring.paths import display
from buildrules.authoring.target import Glob, Local, NewTarget, literal, plain_name
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.references import Place, parse_reference
from buildrules.azureml.specification import Code, Specification
from buildrules.errors import UsageError
from buildrules.workspace.disk import NAMES
from buildrules.workspace.root import read_file
from buildrules.workspace.suggest import did_you_mean

_LEFT_OUT = ("pylock.*", "*.lock", "BUILD.yaml")
_IGNORES = (".amlignore", ".gitignore")  # the first one that is there counts, as for Azure's own upload


def code_target(conversion: Conversion, spec: Specification, models: list[str]) -> NewTarget | None:
    """The target of `code_configuration`; `models` are absolute paths that are not code. Raises LoadError."""
    code = spec.code
    if code is None or code.scoring_script is None:
        return None
    folder = _folder(conversion, spec, code)
    if folder is None:
        return None
    script = os.path.normpath(code.scoring_script).replace(os.sep, "/")
    if script.startswith(("../", "/")):
        message = f"'{code.scoring_script}' is not inside the code's folder"
        raise code.at("scoring_script").error(message, "the path starts at `code`")
    conversion.disk.note(NAMES, folder)
    if not os.path.isfile(os.path.join(folder, script)):
        names = [path for path in _scripts(folder) if path.endswith(".py")]
        hint = did_you_mean(code.scoring_script, names, what="scripts there", limit=8)
        if hint is None:
            near = _likely(spec.document.directory, code)
            hint = f"there is '{near}'" if near else "write it: init() loads the model, run() answers a request"
        raise code.at("scoring_script").error(f"there is no '{code.scoring_script}' in '{display(folder)}'", hint)
    whole = conversion.options.code is None and os.path.normpath(code.code or ".") == "."
    name = "code" if whole else os.path.basename(folder)
    attributes: dict[str, Any] = {
        "srcs": [Glob(folder, "**")],
        "exclude": [Glob(folder, pattern) for pattern in _excluded(conversion, folder, models)],
        "strip_prefix": Local(folder),
        "entry_script": script,
        "name": plain_name(name, "code"),
    }
    target_name = name if "code" in name.lower() else f"{name}-code"
    return conversion.targets.add(target_name, "scoring_code", attributes, node=code.at("code"))


def _folder(conversion: Conversion, spec: Specification, code: Code) -> str | None:
    """The absolute path of the code's folder. Raises UsageError where `--code` names none."""
    given = conversion.options.code
    if given is not None:
        if not os.path.isdir(given):
            raise UsageError(f"there is no folder '{display(given)}'", hint="--code takes the scoring code's folder")
        return given
    if code.code is None:
        return None
    reference = parse_reference(code.code)
    if reference.place is not Place.LOCAL:
        raise code.at("code").error(f"'{code.code}' is not a folder here", "name the folder: --code DIR")
    folder = os.path.normpath(os.path.join(spec.document.directory, reference.text))
    if conversion.disk.is_directory(folder):
        return folder
    near = _likely(spec.document.directory, code)
    hint = f"put {code.scoring_script} there, or name the folder it is in: --code DIR"
    if near is not None:
        place = display(os.path.dirname(os.path.join(spec.document.directory, near)))
        hint = f"there is '{near}': put it there, or name its folder: --code {place}"
    raise code.at("code").error(f"there is no folder '{code.code}' beside {spec.document.display}", hint)


def _scripts(directory: str) -> Iterator[str]:
    """Python files in a directory and three levels below, relative, the nearest first in each folder."""
    for place, below, files in os.walk(directory):
        inside = os.path.relpath(place, directory)
        deep = inside != "." and inside.count(os.sep) >= 2
        below[:] = [] if deep else sorted(name for name in below if name[0] != "." and name != "__pycache__")
        yield from (os.path.normpath(os.path.join(inside, name)) for name in sorted(files) if name.endswith(".py"))


def _likely(directory: str, code: Code) -> str | None:
    """A script of the name that is asked for below a directory, or one with init() and run(); relative."""
    scripts = list(_scripts(directory))
    same = [path for path in scripts if os.path.basename(path) == os.path.basename(code.scoring_script or "")]
    for path in () if same else scripts:
        with contextlib.suppress(OSError):
            if is_script(read_file(os.path.join(directory, path)).decode(errors="replace")):
                return path
    return next(iter(same), None)


def is_script(text: str) -> bool:
    """Whether the text of a Python file is a scoring script."""
    return bool(re.search(r"^def init\(", text, re.M) and re.search(r"^def run\(", text, re.M))


def _excluded(conversion: Conversion, folder: str, models: list[str]) -> list[str]:
    """Globs for what is no code: models in the folder, locks, and what an ignore file leaves out."""
    globs = []
    documents = [document.path for document in conversion.documents]
    for path in [*models, *documents]:
        if path.startswith(folder + "/"):
            inside = literal(path[len(folder) + 1 :])
            globs.append(f"{inside}/**" if os.path.isdir(path) else inside)
    if any(os.path.dirname(path) == folder for path in documents):
        globs += _LEFT_OUT
    there = [path for name in _IGNORES if conversion.disk.is_file(path := os.path.join(folder, name))]
    return list(dict.fromkeys(globs + (_ignored(conversion, there[0]) if there else [])))


def _ignored(conversion: Conversion, path: str) -> list[str]:
    """The lines of an ignore file as globs; a line that takes something back in is noted."""
    try:
        lines = conversion.disk.read(path).decode(errors="replace").splitlines()
    except OSError:
        return []
    globs = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("!") or "\\" in text:
            conversion.note(f"{display(path)}: '{text}' has no meaning here")
            continue
        body = text.strip("/")
        if not body or ".." in body.split("/"):
            continue
        stem = re.sub("[{}]", lambda found: f"[{found[0]}]", body)  # plain characters, for git as well
        stem = stem if "/" in text.rstrip("/") else f"**/{stem}"  # one with a slash starts here, others anywhere
        globs += [f"{stem}/**"] if text.endswith("/") else [f"{stem}/**", stem]
    return globs
