"""The scoring code of a package: the folder its script stands in."""

import os
import re
from typing import Any

from buildrules.azureml.document import display
from buildrules.azureml.references import Place, parse_reference
from buildrules.azureml.specification import Code, Specification
from buildrules.azureml.targets import Glob, Local, Target, literal, plain_name
from buildrules.azureml.work import Work
from buildrules.errors import UsageError
from buildrules.workspace.root import read_file
from buildrules.workspace.suggest import did_you_mean

__all__ = ["code_target"]

_LEFT_OUT = ("pylock.*", "*.lock", "BUILD.yaml")
_IGNORES = (".amlignore", ".gitignore")  # the first one that is there counts, as for Azure's own upload


def code_target(work: Work, spec: Specification, models: list[str]) -> Target | None:
    """The target of `code_configuration`; `models` are absolute paths that are not code. Errors are noted."""
    code = spec.code
    if code is None or code.scoring_script is None:
        return None
    folder = _folder(work, spec, code)
    if folder is None:
        return None
    script = os.path.normpath(code.scoring_script).replace(os.sep, "/")
    if script.startswith(("../", "/")):
        work.fail(
            code.at("scoring_script"),
            f"'{code.scoring_script}' is not inside the code's folder",
            "the path starts at `code`",
        )
        return None
    work.directories.add(folder)
    if not os.path.isfile(os.path.join(folder, script)):
        _no_script(work, spec, code, folder)
        return None
    whole = work.options.code is None and os.path.normpath(code.code or ".") == "."
    name = "code" if whole else os.path.basename(folder)
    attributes: dict[str, Any] = {
        "srcs": [Glob(folder, "**")],
        "exclude": _excluded(work, folder, models),
        "strip_prefix": Local(folder),
        "entry_script": script,
        "name": plain_name(name, "code"),
    }
    target_name = name if "code" in name.lower() else f"{name}-code"
    return work.targets.add(target_name, "scoring_code", attributes, kind="code", node=code.at("code"))


def _folder(work: Work, spec: Specification, code: Code) -> str | None:
    """The absolute path of the code's folder."""
    if work.options.code is not None:
        if not os.path.isdir(work.options.code):
            raise UsageError(
                f"there is no folder '{display(work.options.code)}'", hint="--code takes the scoring code's folder"
            )
        return work.options.code
    if code.code is None:
        return None
    reference = parse_reference(code.code)
    if reference.place is not Place.LOCAL:
        work.fail(code.at("code"), f"'{code.code}' is not a folder here", "name the folder: --code DIR")
        return None
    folder = os.path.normpath(os.path.join(spec.document.directory, reference.text))
    if os.path.isdir(folder):
        return folder
    work.directories.add(_existing(folder))
    near = _scripts(spec.document.directory, os.path.basename(code.scoring_script or ""))
    if near:
        place = display(os.path.dirname(os.path.join(spec.document.directory, near[0])))
        hint = f"there is '{near[0]}': put it there, or name its folder: --code {place}"
    else:
        hint = f"put {code.scoring_script} there, or name the folder it is in: --code DIR"
    work.fail(code.at("code"), f"there is no folder '{code.code}' beside {spec.document.shown}", hint)
    return None


def _no_script(work: Work, spec: Specification, code: Code, folder: str) -> None:
    names = []
    for directory, below, files in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".") and name != "__pycache__"]
        inside = os.path.relpath(directory, folder)
        names += [name if inside == "." else f"{inside}/{name}" for name in files if name.endswith(".py")]
    hint = did_you_mean(code.scoring_script or "", names, what="scripts there", limit=8)
    if hint is None:
        near = _scripts(spec.document.directory, os.path.basename(code.scoring_script or ""))
        hint = f"there is '{near[0]}'" if near else "write it: init() loads the model, run() answers a request"
    work.fail(code.at("scoring_script"), f"there is no '{code.scoring_script}' in '{display(folder)}'", hint)


def _scripts(directory: str, name: str) -> list[str]:
    """Files of this name below a directory, or else those with init() and run(); relative, the nearest first."""
    same: list[str] = []
    alike: list[str] = []
    for place, below, files in os.walk(directory):
        inside = os.path.relpath(place, directory)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        below[:] = [item for item in sorted(below) if item[0] != "." and item != "__pycache__"] if depth < 3 else []
        for file in sorted(files):
            if not file.endswith(".py"):
                continue
            path = file if inside == "." else f"{inside}/{file}"
            (same if file == name else alike).append(path)
    return same or [path for path in alike if _is_script(os.path.join(directory, path))]


def _is_script(path: str) -> bool:
    try:
        text = read_file(path).decode(errors="replace")
    except OSError:
        return False
    return bool(re.search(r"^def init\(", text, re.M) and re.search(r"^def run\(", text, re.M))


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _excluded(work: Work, folder: str, models: list[str]) -> list[Glob]:
    """What is no code: models in the folder, locks, and what an ignore file leaves out."""
    globs = []
    documents = [document.path for document in work.documents]
    for path in [*models, *documents]:
        if path != folder and path.startswith(folder + "/"):
            inside = literal(path[len(folder) + 1 :])
            globs.append(f"{inside}/**" if os.path.isdir(path) else inside)
    if any(os.path.dirname(path) == folder for path in documents):
        globs += _LEFT_OUT
    for name in _IGNORES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            work.files.add(path)
            globs += _ignored(work, path)
            break
    return [Glob(folder, pattern) for pattern in dict.fromkeys(globs)]


def _ignored(work: Work, path: str) -> list[str]:
    """The lines of an ignore file as globs; a line that takes something back in is noted."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    globs = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("!") or "\\" in text:
            work.note(f"{display(path)}: '{text}' has no meaning here")
            continue
        anchored = "/" in text.rstrip("/")
        body = text.strip("/")
        if not body or ".." in body.split("/"):
            continue
        body = re.sub("[{}]", lambda found: f"[{found[0]}]", body)  # plain characters, for git as well
        stem = body if anchored else f"**/{body}"
        globs.append(f"{stem}/**")
        if not text.endswith("/"):
            globs.append(stem)
    return globs
