"""Serves an MLflow model to both kinds of clients, on Azure ML's inference server.

Azure ML's request {"input_data": ..., "params": {...}} gets the bare predictions. MLflow's own requests
(dataframe_split, dataframe_records, instances, inputs; CSV with its Content-Type) get {"predictions": ...}.
Runs with MLflow 1.x to 3.x, and with pandas and numpy of any of their times.
"""

import base64
import inspect
import io
import json
import logging
import os

import mlflow.pyfunc
import numpy
import pandas
from azureml_inference_server_http.api.aml_response import AMLResponse
from mlflow.exceptions import MlflowException
from mlflow_signature import cast, is_tensor, read_csv

MLFLOW_STYLES = ("dataframe_split", "dataframe_records", "instances", "inputs")
CHAT = ("messages", "prompt", "input")  # requests that MLflow hands to a model as they are

logger = logging.getLogger("mlflow_score_script")
model = None
schema = None
takes_params = False


class Unusable(ValueError):
    """The request cannot be understood."""


def init():
    """Load the model: in the folder MLFLOW_MODEL_FOLDER of AZUREML_MODEL_DIR, or wherever an MLmodel is in there."""
    global model, schema, takes_params  # noqa: PLW0603  the server's contract: init() prepares what run() uses
    root = os.environ["AZUREML_MODEL_DIR"]
    named = os.path.join(root, os.environ.get("MLFLOW_MODEL_FOLDER", ""))
    places = [named, root, *sorted(entry.path for entry in os.scandir(root) if entry.is_dir())]
    found = [place for place in places if os.path.isfile(os.path.join(place, "MLmodel"))]
    if not found:
        raise RuntimeError(f"no MLmodel in {root} or a folder in it")
    model = mlflow.pyfunc.load_model(found[0])
    schema = model.metadata.get_input_schema()
    takes_params = "params" in inspect.signature(model.predict).parameters


def run(raw_data, request_headers):
    """Answer one request; what is wrong with it is said with status 400."""
    headers = {name.lower(): value for name, value in request_headers.items()}
    try:
        if headers.get("content-type", "").partition(";")[0].strip() == "text/csv":
            return {"predictions": as_mlflow(predict(from_csv(raw_data), None))}
        return answer(read(raw_data))
    except Unusable as error:
        return refuse(str(error))
    except MlflowException as error:
        if error.get_http_status_code() != 400:
            raise
        logger.warning("refused: %s", error)
        return refuse(error.message)


def read(raw_data):
    try:
        body = json.loads(raw_data)
    except ValueError:
        raise Unusable("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Unusable("The body is not a JSON object.")
    return body


def answer(body):
    if body.get("input_data") is not None:
        return encode(predict(from_azure(body["input_data"]), body.get("params")))
    given = [style for style in MLFLOW_STYLES if style in body]
    if len(given) == 1:
        return {"predictions": as_mlflow(predict(from_mlflow(given[0], body[given[0]]), body.get("params")))}
    if any(name in body for name in CHAT) and not given:
        return encode(predict(*split_params(body)))
    raise Unusable(
        "A value is not provided for the 'input_data' parameter."
        if not given
        else f"Only one of {', '.join(given)} can be given."
    )


def predict(data, params):
    if params is not None and not isinstance(params, dict):
        raise Unusable("'params' is not an object.")
    return model.predict(data, params=params) if params and takes_params else model.predict(data)


def from_azure(data):
    """What the model's signature says `input_data` is: a frame, one array, or arrays by name."""
    if hinted():
        return data
    try:
        if schema is None:
            if isinstance(data, dict) and "data" in data and set(data) <= {"columns", "index", "data"}:
                return split_frame(data)
            return pandas.DataFrame(data) if objects(data) else arrays(data, {})
        if is_tensor(schema):
            return arrays(data, {spec.name: spec.type for spec in schema.inputs})
        if isinstance(data, dict) and "data" in data and set(data) <= {"columns", "index", "data"}:
            return cast(split_frame(data), schema)
        return cast(frame(data), schema)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unusable(f"'input_data' cannot be read: {error}") from None


def from_mlflow(style, data):
    """As MLflow's own server reads it, by its functions where it has them (2.0 and later)."""
    if hinted():
        if style != "inputs":
            raise Unusable("The model's signature comes from type hints, so the request must have 'inputs'.")
        return data
    try:
        from mlflow.utils.proto_json_utils import dataframe_from_parsed_json, parse_tf_serving_input
    except ImportError:  # MLflow 1
        return from_azure(data)
    try:
        if style in ("instances", "inputs"):
            if rows_of_columns(data):
                return cast(frame(data), schema)
            return parse_tf_serving_input({style: data}, schema=schema)
        return dataframe_from_parsed_json(data, pandas_orient=style[len("dataframe_") :], schema=schema)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise Unusable(f"'{style}' cannot be read: {error}") from None


def from_csv(text):
    try:
        return cast(read_csv(io.StringIO(text), schema), schema)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unusable(f"The body is not CSV that fits the model: {error}") from None


def hinted():
    """Whether the signature comes from the type hints of `predict`: then MLflow converts the data itself."""
    ask = getattr(model.metadata, "_is_signature_from_type_hint", None)
    return bool(ask and ask())


def split_params(body):
    """The parameters of the signature among the keys of a chat request, and the rest."""
    ask = getattr(model.metadata, "get_params_schema", None)
    found = ask() if ask else None
    names = {param.name for param in found.params} if found else set()
    params = {name: value for name, value in body.items() if name in names}
    return {name: value for name, value in body.items() if name not in names}, params


def objects(data):
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict)


def rows_of_columns(data):
    """Whether these are rows of a model that takes several columns, which MLflow itself would not tell apart."""
    if schema is None or is_tensor(schema) or not all(schema.input_names()):
        return False
    return len(schema.inputs) > 1 and isinstance(data, list) and bool(data) and isinstance(data[0], list)


def arrays(data, types):
    """Arrays by name, or one. `types` are those of the signature."""
    if isinstance(data, dict):
        return {name: numpy.asarray(values, types.get(name)) for name, values in data.items()}
    return numpy.asarray(data, next(iter(types.values())) if len(types) == 1 else None)


def split_frame(data):
    """pandas' split orientation. From pandas 3 on, columns must be a list and not None."""
    more = {name: data[name] for name in ("columns", "index") if data.get(name) is not None}
    return pandas.DataFrame(data["data"], **more)


def frame(data):
    """Rows as lists or objects, columns by name, or one row."""
    named = all(schema.input_names())
    if isinstance(data, dict):
        whole = all(isinstance(value, (list, dict)) for value in data.values())
        return pandas.DataFrame(data) if whole else pandas.DataFrame([data])
    if isinstance(data, list) and data and not isinstance(data[0], (list, dict)) and len(schema.inputs) == 1:
        data = [[value] for value in data]
    if isinstance(data, list) and data and isinstance(data[0], list) and named:
        if len(data[0]) != len(schema.inputs):
            raise ValueError(f"a row has {len(data[0])} values, and the model takes {len(schema.inputs)}")
        return pandas.DataFrame(data, columns=schema.input_names())
    return pandas.DataFrame(data)


def as_mlflow(result):
    """Predictions as MLflow's server writes them: a series as records of its one column."""
    return encode(pandas.DataFrame(result) if isinstance(result, pandas.Series) else result)


def encode(value):  # noqa: PLR0911
    """Plain JSON types."""
    if isinstance(value, pandas.DataFrame):
        return encode(value.to_dict(orient="records"))
    if isinstance(value, dict):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(bytes(value)).decode("ascii")
    if value is pandas.NaT or value is pandas.NA:
        return None
    if isinstance(value, numpy.datetime64):
        return str(value)
    if hasattr(value, "model_dump"):
        return encode(value.model_dump())
    if hasattr(value, "tolist"):  # arrays, series, and single values of numpy
        return encode(value.tolist())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return [encode(item) for item in value] if isinstance(value, (list, tuple)) else value


def refuse(message):
    return AMLResponse({"message": message}, 400, json_str=True)
