"""Scores with the scikit-learn regressor: the Azure ML inference server calls init() once and run() per request."""

import json
import os

import joblib
import numpy

model = None


def init():
    """Load the model; AZUREML_MODEL_DIR holds the registered folder."""
    global model
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "sklearn_regression_model.pkl")
    model = joblib.load(path)


def run(raw_data):
    """Take '{"data": [[ten numbers], ...]}' and give one prediction per row."""
    data = numpy.array(json.loads(raw_data)["data"])
    return model.predict(data).tolist()
