"""What lies in a folder that `buildrules init` writes a BUILD.yaml for."""

import os
import re

from buildrules.authoring.release import RELEASES, DebianRelease, minor_of_patch, python_for
from buildrules.authoring.target import Local
from buildrules.azureml.code import is_script
from buildrules.document.plain_toml import read_toml
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.locking.python.conda_file import CondaFile
from buildrules.workspace.root import read_file

_MODELS = (
    ".pkl", ".joblib", ".onnx", ".pt", ".pth", ".safetensors", ".json", ".bin", ".h5", ".keras", ".skops", ".txt",
)  # fmt: skip
_IGNORED = ("__pycache__", "node_modules", "venv", "build", "dist", "tests", "test")
_SAMPLE = re.compile(
    r"(?:(?:sample|example)[^/]*|(?:test[-_ ]?)?(?:request|input|payload)s?(?:[-_ ](?:sample|example|data)s?)?)\.json",
    re.IGNORECASE,
)
"""What people call the request that they try a model with."""
_HEALTH = re.compile(r"(?:/.*)?/_*(?:health[-_]?(?:z|check)?|live(?:z|ness)?|ready(?:z|ness)?|ping)/?")
"""What people call the route that says that an application is well."""
_CONDA = ("conda.yaml", "conda.yml", "environment.yaml", "environment.yml")


class Found:
    """The pieces of a package. Paths are relative to the folder, with slashes; "." is the folder itself.

    `root` is the workspace's, whose files alone are read. `notes` tell the user what was found, missing or chosen;
    `release` is the Debian with the Python that is asked for.
    """

    def __init__(self, folder: str, root: str = "") -> None:
        self.notes: list[str] = []
        self.script: str | None = None  # with init() and run()
        self.app: tuple[str, str] | None = None  # file and variable of an ASGI application
        self.routes: dict[str, str] = {}  # its `health` and `scoring`
        self.model: str | None = None
        self.mlflow = False
        self.environment: str | None = None
        self.sample: str | None = None
        self.release: DebianRelease | str = RELEASES[0]
        self.python: str | None = None  # to be written although the files ask for another
        self.folder = folder
        self.root = root or folder
        self.files = sorted(self._walk(), key=lambda path: (path.count("/"), path))
        self.packages = {os.path.dirname(path) for path in self.files if os.path.basename(path) == "__init__.py"}
        self._find_model()
        self._find_code()
        self._find_environment()
        self._find_python()

    def note(self, text: str) -> None:
        """Something to tell the user."""
        self.notes.append(text)

    def read(self, path: str) -> str:
        """The text of a file; empty where it cannot be read, or is a link out of the workspace."""
        try:
            return read_file(os.path.join(self.folder, path), os.path.realpath(self.root)).decode(errors="replace")
        except OSError:
            return ""

    def local(self, path: str | None) -> Local | None:
        """A path of the folder, as targets name it."""
        return Local(os.path.normpath(os.path.join(self.folder, path))) if path is not None else None

    def _walk(self) -> list[str]:
        found = []
        for directory, below, names in os.walk(self.folder):
            below[:] = [name for name in below if name[0] != "." and name not in _IGNORED]
            inside = os.path.relpath(directory, self.folder).replace(os.sep, "/")
            found += [name if inside == "." else f"{inside}/{name}" for name in names]
        return found

    def _one(self, what: str, found: list[str]) -> str | None:
        """The first of what was found, which is the least deep, and a note about it."""
        if not found:
            return None
        self.note(f"{what}: {found[0]}")
        if len(found) > 1:
            self.note(
                f"{what}: several found ({', '.join(found[:4])}{', ...' if len(found) > 4 else ''}), took {found[0]}"
            )
        return found[0]

    def _find_model(self) -> None:
        samples = [path for path in self.files if _SAMPLE.fullmatch(os.path.basename(path))]
        samples = [path for path in samples if os.path.join(os.path.dirname(path), "MLmodel") not in self.files]
        samples.sort(key=lambda path: (path.count("/"), "sample" not in os.path.basename(path).lower()))
        self.sample = samples[0] if samples else None
        mlflow = [os.path.dirname(path) or "." for path in self.files if os.path.basename(path) == "MLmodel"]
        self.mlflow = bool(mlflow)
        code = {os.path.dirname(path) for path in self.files if path.endswith(".py")}
        models = [path for path in self.files if self._is_model(path)]
        # A folder is taken whole, unless it is one of code that has a model's file in it.
        found = mlflow or [path if os.path.dirname(path) in {"", *code} else os.path.dirname(path) for path in models]
        outer: list[str] = []
        for path in dict.fromkeys(found):
            if not any(path.startswith(other + "/") or other == "." for other in outer):
                outer.append(path)
        self.model = self._one("model", outer)

    def _is_model(self, path: str) -> bool:
        if path == self.sample or not path.endswith(_MODELS):
            return False
        return not path.endswith((".json", ".txt")) or "model" in os.path.dirname(path).split("/")

    def _find_code(self) -> None:
        scripts, apps = [], []
        for path in self.files:
            if not path.endswith(".py") or (self.mlflow and self.within_model(path)):
                continue
            text = self.read(path)
            if is_script(text):
                scripts.append(path)
            if match := re.search(r"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*(?:\w+\.)?(FastAPI|Starlette)\(", text, re.M):
                apps.append(f"{path}:{match[1]}")
        scripts.sort(key=lambda path: (path.count("/"), os.path.basename(path) != "score.py"))
        self.script = self._one("scoring script", scripts)
        if app := self._one("ASGI application", apps):
            path, _, variable = app.partition(":")
            self.app = (path, variable)
            self._find_routes(self.read(path))

    def _find_routes(self, text: str) -> None:
        """Paths that the application itself answers; those of its routers are not looked for."""
        variable = re.escape(self.app[1]) if self.app else ""
        found = re.findall(rf"""^@{variable}\.(get|post)\(\s*["'](/[^"'{{}}]*)["']""", text, re.M)
        asked = [path for method, path in found if method == "get"]
        health = next(filter(_HEALTH.fullmatch, asked), "/" if "/" in asked else None)
        scoring = next((path for method, path in found if method == "post"), None)
        self.routes = {name: path for name, path in (("health", health), ("scoring", scoring)) if path}
        if health is None:
            self.note(
                "health route: none found; let the application answer GET /healthz, or set `health` of the server"
            )
        if scoring is None:
            self.note("scoring route: none found; set `scoring` of the server")

    def within_model(self, path: str) -> bool:
        """Whether a path lies in the model's folder."""
        return self.model == "." or (self.model is not None and path.startswith(self.model + "/"))

    def _find_environment(self) -> None:
        wanted = (*_CONDA, "requirements.txt")
        files = [path for path in self.files if os.path.basename(path) in wanted]
        if self.mlflow:  # conda.yaml and requirements.txt of a model say the same
            below = "" if self.model == "." else f"{self.model}/"
            files = [path for path in (below + "conda.yaml", below + "requirements.txt") if path in files][:1] or files
        else:
            projects = [path for path in self.files if os.path.basename(path) == "pyproject.toml"]
            files += [path for path in projects if _table(self.read(path)).get("dependencies")]
            files.sort(key=lambda path: path.count("/"))
        self.environment = self._one("environment", files)
        if self.environment is None:
            self.note("environment: none found; fill in the requirements")

    def _find_python(self) -> None:
        """Where the Python that is asked for comes from; else the usual one, against the file's wish."""
        wanted = self._wanted_python()
        try:
            fitting = python_for(wanted or "")
        except ValueError:
            fitting = None
        if fitting is not None:
            self.release = fitting
            self.python = minor_of_patch(wanted or "")
            return
        self.python = RELEASES[0].minor
        self.note(f"{self.environment} asks for Python {wanted}, and there is none: took {self.python}")

    def _wanted_python(self) -> str | None:
        """A specifier, as `requires-python` has it."""
        if self.environment is None or self.environment.endswith(".txt"):
            return None
        text = self.read(self.environment)
        if self.environment.endswith(".toml"):
            wanted = _table(text).get("requires-python")
            return wanted if isinstance(wanted, str) else None
        pin = CondaFile(parse(self.environment, text.encode(), Problems(), aliases=True)).python
        return pin.specifier if pin is not None else None


def _table(text: str) -> dict[str, object]:
    """The `project` table of a pyproject.toml; empty where there is none."""
    try:
        project = read_toml(text).get("project")
    except ValueError:
        return {}
    return project if isinstance(project, dict) else {}
