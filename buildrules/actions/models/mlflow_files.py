"""The files of an MLflow model that say what it was made with: MLmodel, conda.yaml, requirements.txt, python_env.yaml.

Source: the MLflow documentation, "MLflow Model", sections "Storage Format" and "Additional Logged Files" (1.x to 3.x).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from buildrules.errors import LoadError, Position

if TYPE_CHECKING:
    from buildrules.document.nodes import Node

MARK = "MLmodel"
REQUIREMENTS = "requirements.txt"
_LARGEST = 4 << 20

DISTRIBUTIONS = {
    "catboost_version": "catboost",
    "cloudpickle_version": "cloudpickle",
    "diviner_version": "diviner",
    "dspy_version": "dspy",
    "fastai_version": "fastai",
    "h2o_version": "h2o",
    "keras_version": "keras",
    "langchain_version": "langchain",
    "lgb_version": "lightgbm",
    "llama_index_version": "llama-index",
    "onnx_version": "onnx",
    "paddlepaddle_version": "paddlepaddle",
    "pmdarima_version": "pmdarima",
    "prophet_version": "prophet",
    "pyspark_version": "pyspark",
    "pytorch_version": "torch",
    "sentence_transformers_version": "sentence-transformers",
    "shap_version": "shap",
    "sklearn_version": "scikit-learn",
    "spacy_version": "spacy",
    "statsmodels_version": "statsmodels",
    "tensorflow_version": "tensorflow",
    "transformers_version": "transformers",
    "xgb_version": "xgboost",
}
"""The keys of flavours in MLmodel that hold a library's version, and the library's distribution."""


@dataclass(frozen=True, slots=True)
class Said:
    """A text of a file, and where it stands."""

    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The texts of a model's files by name; `folder` is how the model's folder is shown, and what paths begin with."""

    folder: str
    texts: dict[str, str]
    _trees: "dict[str, Tree]" = field(default_factory=dict, repr=False, compare=False)

    def tree(self, name: str) -> "Tree":
        """What a file says that is YAML, parsed once. Raises LoadError where it is none."""
        if name not in self._trees:
            self._trees[name] = Tree(self, name)
        return self._trees[name]

    def path(self, name: str) -> str:
        """The path of a file of the model, for positions."""
        return f"{self.folder}/{name}" if self.folder else name

    def at(self, name: str) -> Position:
        """The beginning of a file of the model."""
        return Position(self.path(name), 1)


@dataclass(frozen=True, slots=True)
class Marked:
    """What MLmodel says. `versions` are those of the flavours' libraries by distribution.

    `conda_first`: it names one file as its environment, as MLflow 1 wrote it, and not one for each tool.
    """

    python: Said | None
    mlflow: Said | None
    versions: dict[str, Said]
    conda: str
    virtualenv: str
    conda_first: bool


def read_model_files(folder: str, read: Callable[[str], bytes | None]) -> ModelFiles:
    """The files of the model that is shown as `folder`; `read` gives one by its name, None where it is not there.

    Raises LoadError where there is no MLmodel or it cannot be read.
    """
    texts: dict[str, str] = {}
    files = ModelFiles(folder, texts)
    _take(files, MARK, read)
    if MARK not in texts:
        raise LoadError(f"there is no {files.path(MARK)!r}, so this is no MLflow model")
    marked = read_mark(files)
    for name in _names(marked):
        _take(files, name, read)
    return files


def _take(files: ModelFiles, name: str, read: Callable[[str], bytes | None]) -> None:
    content = read(name)
    if content is None or len(content) > _LARGEST:
        return
    try:
        files.texts[name] = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LoadError(f"cannot read {files.path(name)!r}: not UTF-8", position=files.at(name)) from None


def watched(files: ModelFiles, marked: Marked) -> list[str]:
    """The paths of the files whose coming, going or changing can change a model's environment."""
    return [files.path(name) for name in (MARK, *_names(marked))]


def _names(marked: Marked) -> tuple[str, ...]:
    """The files beside MLmodel that are read."""
    return (REQUIREMENTS, marked.conda, marked.virtualenv, "constraints.txt")


def read_mark(files: ModelFiles) -> Marked:
    """What MLmodel says. Raises LoadError where it is not YAML."""
    tree = files.tree(MARK)
    versions: dict[str, Said] = {}
    for flavour in tree.entries("flavors").values():
        for key, node in flavour.entries.items():
            name = DISTRIBUTIONS.get(key)
            if name is not None and (found := said(node)) is not None:
                versions.setdefault(name, found)
    env = ("flavors", "python_function", "env")
    plain = tree.text(*env)
    conda = tree.text(*env, "conda") or plain
    virtualenv = tree.text(*env, "virtualenv")
    return Marked(
        python=tree.text("flavors", "python_function", "python_version"),
        mlflow=tree.text("mlflow_version"),
        versions=versions,
        conda=_name(conda, "conda.yaml"),
        virtualenv=_name(virtualenv, "python_env.yaml"),
        conda_first=plain is not None,
    )


def _name(found: Said | None, usual: str) -> str:
    """A file in the model's own folder; MLmodel may name no other."""
    return usual if found is None or "/" in found.text or found.text.startswith(".") else found.text


class Tree:
    """A YAML file of a model, with the places where its texts stand. Raises LoadError where it is not YAML.

    What is unusual in YAML (a key given twice, a tag) is passed over: MLflow reads the file, we look into it.
    """

    def __init__(self, files: ModelFiles, name: str) -> None:
        from buildrules.document.problems import Problems
        from buildrules.document.reader import parse

        problems = Problems()
        self._root = parse(files.path(name), files.texts[name].encode(), problems, aliases=True)
        if self._root is None and problems.errors:
            raise problems.errors[0]

    def _find(self, path: tuple[str, ...]) -> "Node | None":
        node = self._root
        for step in path:
            node = node.entries.get(step) if node is not None else None
        return node

    def entries(self, *path: str) -> "Mapping[str, Node]":
        """The keys and values of the map at `path`; nothing for anything else."""
        node = self._find(path)
        return node.entries if node is not None else {}

    def text(self, *path: str) -> Said | None:
        """The text at `path`, if there is one."""
        return said(self._find(path))

    def items(self, *path: str) -> list[Said]:
        """The texts in the list at `path`."""
        node = self._find(path)
        return [found for item in node.items if (found := said(item)) is not None] if node is not None else []


def said(node: "Node | None") -> Said | None:
    """The text of a scalar that is not null, with its place."""
    if node is None or node.kind != "scalar" or node.is_null or not node.text:
        return None
    return Said(node.text, node.position)
