"""Scores files with an MLflow model: a row of row number, prediction and file for each row of a file.

Run by azureml_batch.py. Runs with MLflow 1.x to 3.x, and with pandas and numpy of any of their times.
"""

import json
import os

import mlflow.pyfunc
import pandas
from mlflow_signature import cast, read_csv

STYLES = ("input_data", "dataframe_split", "dataframe_records")  # keys of requests that may stand in a file

model = None
schema = None


def init():
    """Load the model: wherever an MLmodel is in AZUREML_MODEL_DIR or a folder in it."""
    global model, schema  # noqa: PLW0603  the driver's contract: init() prepares what run() uses
    root = os.environ["AZUREML_MODEL_DIR"]
    places = [root, *sorted(entry.path for entry in os.scandir(root) if entry.is_dir())]
    found = [place for place in places if os.path.isfile(os.path.join(place, "MLmodel"))]
    if not found:
        raise RuntimeError(f"no MLmodel in {root} or a folder in it")
    model = mlflow.pyfunc.load_model(found[0])
    schema = model.metadata.get_input_schema()


def run(mini_batch):
    """The rows of some files."""
    return pandas.concat([score(path) for path in mini_batch])


def score(path):
    """The rows of one file."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in READERS:
        raise ValueError(f"{path} is none of {', '.join(READERS)}")
    found = table_of(model.predict(cast(READERS[suffix](path), schema)))
    found.insert(0, "row", range(len(found)))
    found["file"] = os.path.basename(path)
    return found


def table_of(predictions):
    """Predictions as columns: those of a frame, of arrays by name, or one."""
    if isinstance(predictions, pandas.DataFrame):
        return predictions.reset_index(drop=True)
    if isinstance(predictions, dict):
        return pandas.DataFrame({name: list(values) for name, values in predictions.items()})
    return pandas.DataFrame({"prediction": list(predictions)})


def read_json(path):
    """A list of records, {columns, data}, or either of them as a request would hold it."""
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    if isinstance(data, dict):
        names = [name for name in STYLES if name in data]
        data = data[names[0]] if names else data
    if isinstance(data, dict) and "columns" in data and "data" in data:
        return pandas.DataFrame(data["data"], columns=data["columns"])
    return pandas.DataFrame(data)


def read_lines(path):
    """Records, one a line."""
    with open(path, encoding="utf-8") as file:
        return pandas.DataFrame([json.loads(line) for line in file if line.strip()])


READERS = {
    ".csv": lambda path: read_csv(path, schema),
    ".parquet": pandas.read_parquet,
    ".pqt": pandas.read_parquet,
    ".json": read_json,
    ".jsonl": read_lines,
}
