"""`buildrules init`."""

import os
import re

import click

from buildrules.errors import LoadError, UsageError
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import BUILD_FILE, find_root, package_of

_RENAME = "rename the directory, or put its files into one with a plainer name"
_MODELS = (
    ".pkl",
    ".joblib",
    ".onnx",
    ".pt",
    ".pth",
    ".safetensors",
    ".json",
    ".bin",
    ".h5",
    ".keras",
    ".skops",
    ".txt",
)


@click.command(short_help="write a first BUILD.yaml for a folder with a model")
@click.argument("folder", type=click.Path(exists=True, file_okay=False), default=".")
@click.option("--name", help="Name of the package (default: the folder's).")
def command(folder: str, name: str | None) -> None:
    """Write a first BUILD.yaml for a folder with a model.

    Looks for a scoring script with init() and run(), an ASGI app, a model file or folder, an environment file and a
    sample request, and joins what it finds. Nothing that exists is changed.
    """
    folder = os.path.abspath(folder)
    path = os.path.join(folder, BUILD_FILE)
    if os.path.exists(path):
        raise UsageError(f"there is a {os.path.relpath(path)} already", hint="add targets to it; see the tutorial")
    found = _Found(folder)
    name = _clean(name or os.path.basename(folder))
    try:
        package = package_of(find_root(folder), folder)
        head = ""
    except UsageError:
        package = ""
        head = f"workspace:\n  name: {name}\n  platforms: [linux/amd64]\n\n"
    try:
        parse_label(f"//{package}:{name}")
    except LoadError as error:
        raise UsageError(f"'{package}' cannot be a package: {error.message}", hint=_RENAME) from None
    text = head + found.targets(name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"wrote {os.path.relpath(path)}")
    for line in found.notes:
        click.echo(f"  {line}")
    label = f":{name}"
    click.echo(
        f"next: buildrules build {label}" if os.getcwd() == folder else f"next: cd {folder}; buildrules build {label}"
    )


class _Found:
    """What lies in the folder. Paths are relative to it, with slashes."""

    def __init__(self, folder: str) -> None:
        self.notes: list[str] = []
        self.script: str | None = None
        self.app: str | None = None
        self.model: str | None = None
        self.environment: str | None = None
        self.sample: str | None = None
        self._folder = folder
        files = sorted(self._walk(), key=lambda path: (path.count("/"), path))
        for path in files:
            name = os.path.basename(path)
            if name.endswith(".py"):
                self._code(path)
            elif name in ("conda.yaml", "conda.yml", "requirements.txt") and self.environment is None:
                self.environment = path
            elif name.startswith("sample") and name.endswith(".json") and self.sample is None:
                self.sample = path
        candidates = [path for path in files if self._is_model(path)]
        if candidates:
            top = candidates[0]
            directory = os.path.dirname(top)
            self.model = directory or top
        for what, value in (("model", self.model), ("scoring script", self.script), ("ASGI application", self.app)):
            if value:
                self.notes.append(f"{what}: {value}")
        self.notes.append(f"environment: {self.environment or 'none found; fill in the requirements'}")

    def _walk(self) -> list[str]:
        found = []
        for directory, below, names in os.walk(self._folder):
            below[:] = [
                name for name in below if name[0] != "." and name not in ("__pycache__", "node_modules", "venv")
            ]
            inside = os.path.relpath(directory, self._folder).replace(os.sep, "/")
            found += [name if inside == "." else f"{inside}/{name}" for name in names]
        return found

    def _is_model(self, path: str) -> bool:
        if path in (self.sample, self.environment) or not path.endswith(_MODELS):
            return False
        if path.endswith((".json", ".txt")):
            return "model" in os.path.dirname(path).split("/")
        return True

    def _code(self, path: str) -> None:
        with open(os.path.join(self._folder, path), encoding="utf-8", errors="replace") as file:
            text = file.read()
        if self.script is None and re.search(r"^def init\(", text, re.M) and re.search(r"^def run\(", text, re.M):
            self.script = path
        match = re.search(r"^(\w+)\s*=\s*(FastAPI|Starlette)\(", text, re.M)
        if self.app is None and match:
            self.app = f"{path}:{match[1]}"

    def targets(self, name: str) -> str:
        """The text of the `targets:` section."""
        lines = ["targets:", "  base: {rule: debian_base, suite: bookworm}    # Debian 12, Python 3.11"]
        if self.environment and self.environment.endswith(".txt"):
            source = f"requirements_file: {self.environment}"
        elif self.environment:
            source = f"conda_file: {self.environment}"
        else:
            source = "requirements: []    # fill in, such as [scikit-learn==1.7.0]"
        lines += ["  env:", "    rule: python_env", "    base: :base", f"    {source}"]
        model = self.model or "model"
        if not self.model:
            self.notes.append("no model found: set the path of the model target")
        lines.append(f"  {name}_model: {{rule: model, path: {model}}}")
        code = self.script or (self.app.partition(":")[0] if self.app else "score.py")
        directory, script = os.path.split(code)
        srcs = f"{directory}/**" if directory else "*.py"
        if not (self.script or self.app):
            self.notes.append("no init() and run() found: write score.py with both, or see 'buildrules rules'")
        lines.append(f'  {name}_code: {{rule: scoring_code, srcs: ["{srcs}"], entry_script: {script}}}')
        server = "azureml_online"
        if self.app and not self.script:
            module = script.removesuffix(".py")
            lines.append(f'  {name}_server: {{rule: fastapi, app: "{module}:{self.app.partition(":")[2]}"}}')
            server = f":{name}_server"
        lines += [
            f"  {name}:",
            "    rule: model_package",
            f"    model: :{name}_model",
            "    base_env: :env",
            f"    server: {server}",
            f"    code: :{name}_code",
        ]
        if self.sample:
            lines.append(f"    sample_request: {self.sample}")
        return "\n".join(lines) + "\n"


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_").lower() or "model"
