"""Makes the files in this folder: `python make_pickles.py` with the versions that their names say."""

import pickle
from importlib.metadata import version
from pathlib import Path

import numpy as np

here = Path(__file__).parent


def save(library: str, what: str, value: object, protocol: int = 4) -> None:
    (here / f"{library}-{version(library)}-{what}.pkl").write_bytes(pickle.dumps(value, protocol=protocol))


save("numpy", "array", np.arange(3), protocol=5)
save("numpy", "random", np.random.RandomState(1))
try:
    import pandas as pd
except ImportError:
    pass
else:
    save("pandas", "series", pd.Series([1, 2], index=[3, 4]))
try:
    import joblib
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.tree import DecisionTreeClassifier
except ImportError:
    pass
else:
    rows, species = [[0.0], [1.0]], [0, 1]
    save("scikit-learn", "neighbours", KNeighborsClassifier(1, algorithm="kd_tree").fit(rows, species))
    save("scikit-learn", "boosting", GradientBoostingClassifier(n_estimators=1, max_depth=1).fit(rows, species))
    tree = DecisionTreeClassifier(max_depth=1).fit(rows, species)
    joblib.dump(tree, here / f"scikit-learn-{version('scikit-learn')}-tree.joblib")
