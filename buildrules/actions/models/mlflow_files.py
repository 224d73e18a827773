"""The files of an MLflow model that say what it was made with: MLmodel, conda.yaml, requirements.txt, python_env.yaml.

Source: the MLflow documentation, "MLflow Model", sections "Storage Format" and "Additional Logged Files" (1.x to 3.x).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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
    "mleap_version": "mleap",
    "mxnet_version": "mxnet",
    "onnx_version": "onnx",
    "openai_version": "openai",
    "paddle_version": "paddlepaddle",
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


class Said(NamedTuple):
    """A text of a file, and where it stands."""

    text: str
    position: Position


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

    @property
    def names(self) -> tuple[str, ...]:
        """MLmodel and the files beside it that are read."""
        return (MARK, REQUIREMENTS, self.conda, self.virtualenv, "constraints.txt")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The texts of a model's files by name; `folder` is how the model's folder is shown, and what paths begin with."""

    folder: str
    texts: dict[str, str]
    marked: Marked

    def path(self, name: str) -> str:
        """The path of a file of the model, for positions."""
        return _path(self.folder, name)

    def at(self, name: str) -> Position:
        """The beginning of a file of the model."""
        return Position(self.path(name), 1)

    def yaml(self, name: str) -> "Node | None":
        """What a file says that is YAML. Raises LoadError where it is none."""
        return _yaml(self.path(name), self.texts[name])

    @property
    def watched(self) -> list[str]:
        """The paths of the files whose coming, going or changing can change a model's environment."""
        return [self.path(name) for name in self.marked.names]


def read_model_files(folder: str, read: Callable[[str], bytes | None]) -> ModelFiles:
    """The files of the model that is shown as `folder`; `read` gives one by its name, None where it is not there.

    Raises LoadError where there is no MLmodel or it cannot be read.
    """
    mark = _text(_path(folder, MARK), read(MARK))
    if mark is None:
        raise LoadError(f"there is no {_path(folder, MARK)!r}, so this is not an MLflow model")
    marked = read_mark(_path(folder, MARK), mark)
    found = {name: _text(_path(folder, name), read(name)) for name in marked.names[1:]}
    texts = {MARK: mark} | {name: text for name, text in found.items() if text is not None}
    return ModelFiles(folder, texts, marked)


def read_mark(path: str, text: str) -> Marked:
    """What the MLmodel at `path` says. Raises LoadError where it is not YAML."""
    root = _yaml(path, text)
    versions: dict[str, Said] = {}
    flavours = root.entries.get("flavors") if root is not None else None
    for flavour in flavours.entries.values() if flavours is not None else ():
        for key, name in DISTRIBUTIONS.items():
            if (found := text_at(flavour, key)) is not None:
                versions.setdefault(name, found)
    env = ("flavors", "python_function", "env")
    plain = text_at(root, *env)
    return Marked(
        python=text_at(root, "flavors", "python_function", "python_version"),
        mlflow=text_at(root, "mlflow_version"),
        versions=versions,
        conda=_name(text_at(root, *env, "conda") or plain, "conda.yaml"),
        virtualenv=_name(text_at(root, *env, "virtualenv"), "python_env.yaml"),
        conda_first=plain is not None,
    )


def text_at(node: "Node | None", *path: str) -> Said | None:
    """The text at a path of keys, if there is one and it is not null, with its place."""
    for step in path:
        node = node.entries.get(step) if node is not None else None
    if node is None or node.kind != "scalar" or node.is_null or not node.text:
        return None
    return Said(node.text, node.position)


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _text(path: str, content: bytes | None) -> str | None:
    if content is None or len(content) > _LARGEST:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        from buildrules.document.reader import not_utf8

        raise not_utf8(path, error) from None


def _name(found: Said | None, usual: str) -> str:
    """A file in the model's own folder; MLmodel may name no other."""
    return usual if found is None or "/" in found.text or found.text.startswith(".") else found.text


def _yaml(path: str, text: str) -> "Node | None":
    """What a file of a model says. Raises LoadError where it is no YAML.

    What is unusual in YAML (a key given twice, a tag) is passed over: MLflow reads the file, we look into it.
    """
    from buildrules.document.problems import Problems
    from buildrules.document.reader import parse

    problems = Problems()
    root = parse(path, text.encode(), problems, aliases=True)
    if root is None and problems.errors:
        raise problems.errors[0]
    return root
