"""Makes the files in this folder: `python make_pickles.py` with each version of scikit-learn and XGBoost."""

import pickle
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

here = Path(__file__).parent
rows, species = load_iris(return_X_y=True)
name = "sklearn-" + version("scikit-learn")
pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(rows, species)
forest = RandomForestClassifier(n_estimators=2, max_depth=2, random_state=0).fit(rows, species)
for protocol in (2, 4):
    (here / f"{name}-protocol{protocol}.pkl").write_bytes(pickle.dumps(pipeline, protocol=protocol))
joblib.dump(forest, here / f"{name}.joblib")
joblib.dump(forest, here / f"{name}-zlib.joblib", compress=3)
joblib.dump(forest, here / f"{name}-xz.joblib", compress=("xz", 3))

try:
    import xgboost
except ImportError:
    pass
else:
    name = f"xgboost-{xgboost.__version__}"
    booster = xgboost.train({"max_depth": 1}, xgboost.DMatrix(rows[:9], np.arange(9)), 1)
    for ending in ("json", "ubj"):
        booster.save_model(here / f"{name}.{ending}")
    (here / f"{name}.pkl").write_bytes(pickle.dumps(booster))
