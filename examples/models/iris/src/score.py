"""Names the iris species from four measurements in centimetres."""

import json
import os

import joblib
import numpy

SPECIES = ["setosa", "versicolor", "virginica"]
model = None


def init():
    """Load the classifier."""
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "iris.joblib"))


def run(raw_data):
    """Take '{"data": [[4 numbers], ...]}' and give one species per row."""
    rows = numpy.array(json.loads(raw_data)["data"])
    return [SPECIES[number] for number in model.predict(rows)]
