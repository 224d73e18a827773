"""Saves the models in this folder; run with each MLflow: `python make_models.py FOLDER`, and keep what the tests use.

sklearn_1, sklearn_2, sklearn_3: a classifier with a signature, by MLflow 1.30, 2.22 and 3.17.
unsigned_3: the same without a signature. params_2, tensor_3, tensors_2: functions with parameters, of one
array, of two arrays.
"""

import sys

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models.signature import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

out = sys.argv[1]
major = mlflow.__version__.partition(".")[0]
frame, species = load_iris(return_X_y=True, as_frame=True)
named = LogisticRegression(max_iter=200).fit(frame, species)
signature = infer_signature(frame, named.predict(frame))
mlflow.sklearn.save_model(named, f"{out}/sklearn_{major}", signature=signature, input_example=frame.head(2))
unnamed = LogisticRegression(max_iter=200).fit(frame.values, species)
mlflow.sklearn.save_model(unnamed, f"{out}/unsigned_{major}")


class Greeter(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        greeting = (params or {}).get("greeting", "?")
        rows = zip(model_input["name"], model_input["when"], strict=True)
        return [f"{greeting} {name}: {type(when).__name__} {pd.Timestamp(when).year}" for name, when in rows]


class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return np.asarray(model_input).sum(axis=1)


class Sums(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return {name: np.asarray(values).sum(axis=1) for name, values in model_input.items()}


if major != "1":
    people = pd.DataFrame({"name": ["a", "b"], "when": pd.to_datetime(["2020-01-01", "2021-05-05"])})
    signature = infer_signature(people, ["x"], params={"greeting": "hello", "times": 2})
    mlflow.pyfunc.save_model(f"{out}/params_{major}", python_model=Greeter(), signature=signature)
    array = np.ones((2, 3), dtype=np.float32)
    signature = infer_signature(array, array.sum(axis=1))
    mlflow.pyfunc.save_model(f"{out}/tensor_{major}", python_model=Sum(), signature=signature, input_example=array)
    both = {"a": array, "b": array * 2}
    signature = infer_signature(both)
    mlflow.pyfunc.save_model(f"{out}/tensors_{major}", python_model=Sums(), signature=signature, input_example=both)
