"""Trains the iris, wine and digits models on data sets that scikit-learn ships.

    uv run --with scikit-learn==1.7.0 --with numpy==2.3.1 --with xgboost==3.0.2 train.py
"""

import json
from pathlib import Path

import joblib
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

HERE = Path(__file__).parent / "models"

iris = load_iris()
joblib.dump(LogisticRegression(max_iter=500).fit(iris.data, iris.target), HERE / "iris/model/iris.joblib")

wine = load_wine()
XGBClassifier(n_estimators=20, max_depth=3).fit(wine.data, wine.target).save_model(HERE / "wine/model/wine.json")
(HERE / "wine/sample-request.json").write_text(json.dumps({"rows": wine.data[[0, 70, 170]].tolist()}) + "\n")

digits = load_digits()
forest = RandomForestClassifier(n_estimators=20, random_state=0).fit(digits.data, digits.target)
joblib.dump(forest, HERE / "digits/model/digits.joblib", compress=3)
(HERE / "digits/sample-request.json").write_text(json.dumps({"images": digits.data[[3, 7]].astype(int).tolist()}) + "\n")
