"""Pickles that are known not to work with another version of a library than they were saved with.

Each row says where that comes from: an issue or release notes, or that it was measured: every estimator of scikit-learn
was fitted and pickled with one release, and loaded and asked with another (1.1.3, 1.2.2, 1.3.2, 1.4.2, 1.5.2, 1.6.1,
1.7.2, 1.8.0, 1.9.1); NumPy 1.23.5 to 2.4.6, pandas 1.5.3 to 3.1.1 and XGBoost 1.7.6 to 3.2.0 likewise.
"""

import re
from collections.abc import Iterator, Mapping

from buildrules.lints.finding import ERROR, Finding
from buildrules.typed import NamedTuple


class Drift(NamedTuple):
    """A pickle that names all of `words`, saved with a version of `distribution` in `saved` ("": any, nobody says it),
    does not work with one in `locked` (specifiers of PEP 440). `fails` is what is seen then.
    """

    words: str
    distribution: str
    saved: str
    locked: str
    fails: str
    source: str


BINARY_XGBOOST = "binf"
"""What XGBoost's files of the format before JSON begin with; the word for one in the table."""
_MEASURED = "measured"
_RENAMED = "scikit-learn's What's New in 0.22, \"Clear definition of the public API\""


def _sklearn(version: str, words: str, fails: str, source: str = _MEASURED, until: str = "") -> Drift:
    """What scikit-learn `version` and later ones, before `until`, cannot do with pickles of older ones."""
    before = f",<{until}" if until else ""
    return Drift(words, "scikit-learn", f"<{version}", f">={version}{before}", fails, source)


def _lacks(version: str, name: str, attribute: str, source: str = _MEASURED, until: str = "") -> Drift:
    return _sklearn(version, name, f"'{name}' object has no attribute '{attribute}'", source, until)


def _gone(version: str, module: str, source: str = _MEASURED) -> Drift:
    return _sklearn(version, module, f"No module named '{module}'", source)


_OLD_MODULES = (
    *("cluster.k_means_", "decomposition.pca", "ensemble.bagging", "ensemble.forest", "ensemble.gradient_boosting"),
    *("ensemble.iforest", "ensemble.voting", "ensemble.weight_boosting", "linear_model.base"),
    *("linear_model.coordinate_descent", "linear_model.logistic", "linear_model.ridge", "neighbors.classification"),
    *("linear_model.stochastic_gradient", "neighbors.regression", "neural_network.multilayer_perceptron"),
    *("preprocessing.data", "preprocessing.label", "svm.classes", "tree.tree"),
)
_HALF = "__pyx_unpickle_CyHalf"
_LOSSES = ("BinomialLoss", "MultinomialLoss", "SquaredError", "PoissonLoss", "TweedieLossIdentity", "GammaLoss")

KNOWN = (
    *(_gone("0.24", f"sklearn.{name}", _RENAMED) for name in _OLD_MODULES),
    _gone("0.23", "sklearn.externals.joblib", "scikit-learn/scikit-learn#17248"),
    _lacks("1.2", "CalibratedClassifierCV", "estimator"),
    _lacks("1.2", "ColumnTransformer", "_name_to_fitted_passthrough"),
    _lacks("1.2", "KNNImputer", "keep_empty_features"),
    _lacks("1.2", "KernelDensity", "bandwidth_"),
    _lacks("1.2", "OneHotEncoder", "_drop_idx_after_grouping"),
    _lacks("1.2", "SimpleImputer", "keep_empty_features"),
    _lacks("1.2", "StackingClassifier", "_label_encoder"),
    _sklearn("1.2", "_DictWithDeprecatedKeys", "Can't get attribute '_DictWithDeprecatedKeys'"),
    _sklearn("1.3", "sklearn.tree._tree", "node array from the pickle has an incompatible dtype", "yzhao062/pyod#519"),
    _sklearn("1.3", "sklearn.metrics._dist_metrics EuclideanDistance", "Can't get attribute 'EuclideanDistance'"),
    _sklearn("1.3", "_passthrough_scorer", "Can't get attribute '_passthrough_scorer'"),
    _sklearn("1.3", "sklearn.ensemble._hist_gradient_boosting.predictor", "Buffer dtype mismatch"),
    _lacks("1.3", "KernelPCA", "gamma_"),
    _lacks("1.3", "OrdinalEncoder", "_infrequent_enabled"),
    _lacks("1.3", "PLSRegression", "coef_"),
    _lacks("1.3", "SplineTransformer", "sparse_output"),
    _gone("1.4", "sklearn.ensemble._gb_losses", "scikit-learn/scikit-learn#30062"),
    _lacks("1.4", "DecisionTreeClassifier", "monotonic_cst", "sapientml/core#93", "1.9"),
    _lacks("1.4", "DecisionTreeRegressor", "monotonic_cst", "chavesejf/PBEE#11", "1.9"),
    *(
        Drift(name, "scikit-learn", "<1.4", ">=1.6,<1.9", "trees have no attribute 'monotonic_cst'", _MEASURED)
        for name in ("ExtraTreeClassifier", "ExtraTreesClassifier", "ExtraTreesRegressor")
    ),
    _lacks("1.4", "HistGradientBoostingClassifier", "_preprocessor"),
    _lacks("1.4", "HistGradientBoostingRegressor", "_preprocessor"),
    _sklearn("1.4", "ColumnTransformer passthrough", "'str' object has no attribute 'transform'"),
    _lacks("1.4", "SplineTransformer", "_asarray"),
    *(_sklearn("1.6", _HALF + loss, f"Can't get attribute '{_HALF}{loss}'") for loss in _LOSSES),
    _lacks("1.6", "NearestCentroid", "class_prior_"),
    _lacks("1.6", "SelfTrainingClassifier", "predict"),
    _lacks("1.7", "ClassifierChain", "estimator"),
    _lacks("1.7", "RegressorChain", "estimator"),
    _lacks("1.8", "MaxAbsScaler", "clip"),
    _lacks("1.8", "RidgeClassifier", "classes_"),
    _lacks("1.8", "RidgeClassifierCV", "classes_"),
    _lacks("1.8", "SimpleImputer", "_fill_dtype"),
    _lacks("1.8", "SplineTransformer", "handle_missing"),
    _gone("1.9", "_loss"),
    Drift("numpy._core.numeric", "numpy", "", "<2", "No module named 'numpy._core.numeric'", "numpy/numpy#28340"),
    *(
        Drift(f"numpy._core.{name}", "numpy", "", "<1.26", "No module named 'numpy._core'", "numpy/numpy#24906")
        for name in ("multiarray", "_multiarray_umath")
    ),
    Drift("numpy.rec", "numpy", "", "<2", "No module named 'numpy.rec'", _MEASURED),
    *(
        Drift(f"__bit_generator_ctor {name}", "numpy", "", "<2", "not a known BitGenerator module", "numpy/numpy#26260")
        for name in ("numpy.random._mt19937", "numpy.random._pcg64")
    ),
    *(
        Drift(f"__bit_generator_ctor {name}", "numpy", "", "<1.24", f"{name}() takes 1 argument", "numpy/numpy#22014")
        for name in ("__randomstate_ctor", "__generator_ctor")
    ),
    Drift(
        "pandas.core.indexes.numeric", "pandas", "", ">=2", "No module named 'pandas.core.indexes.numeric'",
        "pandas-dev/pandas#53300",
    ),
    *(
        Drift(f"scipy.sparse.{name}", "scipy", "", "<1.8", f"No module named 'scipy.sparse.{name}'", "HKUDS/SSLRec#34")
        for name in ("_csr", "_csc", "_coo")
    ),
    Drift("scipy.sparse._arrays", "scipy", "", ">=1.11", "No module named 'scipy.sparse._arrays'", "scipy/scipy#20599"),
    Drift(
        "XGBoostLabelEncoder", "xgboost", "", ">=2", "Can't get attribute 'XGBoostLabelEncoder'", "dmlc/xgboost#6209",
    ),
    Drift(BINARY_XGBOOST, "xgboost", "", ">=3.1", "its binary format was removed", "dmlc/xgboost#11758"),
)  # fmt: skip
"""What is known. Words are names of modules, classes and functions, as a pickle spells them."""

_FORMS = {
    word: re.compile(
        rb"(?:(?<![\w.])|(?<=[^\w.]c)|(?<=%s))%s(?![\w.])" % (re.escape(bytes([len(word)])), word.encode())
    )
    for word in sorted({word for row in KNOWN for word in row.words.split()} - {BINARY_XGBOOST})
}
"""A whole word, also behind the opcode GLOBAL or its own length, which may look like letters."""


def words_in(content: bytes) -> frozenset[str]:
    """The words of the table that stand in the content of a pickle: joblib's arrays among the opcodes hide none."""
    return frozenset(word for word, form in _FORMS.items() if word.encode() in content and form.search(content))


def known_drift(
    path: str, words: frozenset[str], versions: Mapping[str, str], packages: Mapping[str, str]
) -> Iterator[tuple[str, Finding]]:
    """Each library of `packages` (locked versions by name) with which a pickle is known not to work, and the error.

    `words` are those of the table that it names, `versions` those that it says it was saved with.
    """
    told = set()
    for row in KNOWN:
        name, locked = row.distribution, packages.get(row.distribution)
        if locked is None or name in told or not words.issuperset(row.words.split()):
            continue
        saved = versions.get(name, "")
        if not _within(row.locked, locked) or (row.saved and not _within(row.saved, saved)):
            continue
        told.add(name)
        other = f"{name}=={saved}" if saved else f"{name}{_opposite(row.locked)}"
        message = f"the model was saved with {f'{name} {saved}' if saved else other}, and does not work with {locked}"
        message += f", which the lock has: {row.fails}"
        hint = f"ask for {other}, or save the model again with {locked}"
        yield name, Finding("pickle_version", ERROR, message, path, 1, 1, hint)


def _within(specifiers: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return bool(version) and SpecifierSet(specifiers).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _opposite(specifier: str) -> str:
    return specifier.replace(">=", "<") if specifier.startswith(">=") else specifier.replace("<", ">=")
