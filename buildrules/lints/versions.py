"""Models against the locked versions of the libraries they were saved with."""

from collections.abc import Collection, Iterable, Mapping

from buildrules.lints.finding import ERROR, WARNING, Finding
from buildrules.lints.imports import DISTRIBUTIONS, may_provide, provides
from buildrules.typed import NamedTuple

_LIBRARIES = (
    *("catboost", "imblearn", "joblib", "keras", "lightgbm", "numpy", "pandas", "polars", "pytz", "scipy", "skl2onnx"),
    *("sklearn", "spacy", "statsmodels", "tensorflow", "torch", "transformers", "xgboost"),
)
"""Modules of libraries: any other may be the user's own, and lie with the code."""
_CAREFREE = ("cloudpickle",)


class Saved(NamedTuple):
    """A file that says with which version of a distribution it was made, and where it says so."""

    name: str
    version: str
    path: str
    line: int = 1
    column: int = 1


def pickle_version(saved: Iterable[Saved], packages: Mapping[str, str], told: Collection[str] = ()) -> list[Finding]:
    """A finding for each library that `packages` (versions by normalised name) has in another minor version.

    Of the distributions in `told` more is known, and was said.
    """
    found: dict[tuple[str, str], Finding] = {}
    for item in saved:
        locked = packages.get(item.name)
        theirs, ours = _minor(item.version), _minor(locked or "")
        if (
            item.name in told
            or theirs is None
            or (locked is not None and (ours is None or ours == theirs or item.name in _CAREFREE))
        ):
            continue
        if locked is None or ours is None:
            severity, what = ERROR, f"the environment has no {item.name}"
            hint = f"add {item.name}=={item.version} to the requirements"
        else:
            severity, what = ERROR if ours < theirs else WARNING, f"the lock has {locked}"
            hint = f"ask for {item.name}=={item.version}, or save the model again with {locked}"
        message = f"the model was saved with {item.name} {item.version}, and {what}"
        finding = Finding("pickle_version", severity, message, item.path, item.line, item.column, hint)
        found.setdefault((item.name, item.version), finding)
    return list(found.values())


def missing_for_pickle(
    path: str, needed: Iterable[str], modules: Collection[str], unseen: Collection[str] = ()
) -> list[Finding]:
    """Modules that the pickle at `path` loads and that no wheel of the environment provides, nor likely what is in
    `unseen`: distributions of which the modules are not known.
    """
    found = []
    for top in sorted({module.partition(".")[0] for module in needed}):
        if top == "__main__":
            message = "the model was pickled with classes or functions of the script or notebook it was made in"
            hint = "put them into a module that lies with the code, import them from it, and save the model again"
        elif top in _LIBRARIES and not provides(modules, top) and not may_provide(unseen, top):
            message = f"the model needs the module '{top}', and nothing in the environment provides it"
            hint = f"add {DISTRIBUTIONS.get(top, top)} to the requirements"
        else:
            continue
        found.append(Finding("missing_module", ERROR, message, path, 1, 1, hint))
    return found


def _minor(version: str) -> tuple[int, int] | None:
    parts = version.split("+", maxsplit=1)[0].split(".")
    try:
        return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError:
        return None
