"""MLflow's example of a request, in the form a server wants it.

MLflow writes it for its own server (mlflow, docs "Local Inference Server Specification"): one of `dataframe_split`,
`dataframe_records`, `inputs` and `instances`, and perhaps `params`. Azure's server wants `input_data` instead.
"""

from typing import Any

_KEYS = ("dataframe_split", "dataframe_records", "inputs", "instances")


def as_request(example: Any, form: str) -> Any:
    """The example for a server: "mlflow" as it is, "input_data" as Azure's. Raises ValueError for another form."""
    if form == "mlflow":
        return example
    found = [key for key in _KEYS if isinstance(example, dict) and key in example]
    if len(found) != 1:
        raise ValueError(f"it has none of {', '.join(_KEYS)}")
    data = example[found[0]]
    if found[0] == "dataframe_records" and isinstance(data, list) and data and isinstance(data[0], dict):
        if not all(isinstance(row, dict) for row in data):
            raise ValueError("its rows are not all of one form")
        columns = list(data[0])
        data = {"columns": columns, "data": [[row.get(name) for name in columns] for row in data]}
    if found[0] == "dataframe_split" and isinstance(data, dict) and "index" not in data:
        rows = data.get("data", [])
        if not isinstance(rows, list):
            raise ValueError(f"'data' must be a list of rows, not {rows!r:.60}")
        data = {**data, "index": list(range(len(rows)))}
    body = {"input_data": data}
    return {**body, "params": example["params"]} if example.get("params") else body


def is_table(example: Any) -> bool:
    """Whether an example is a table: of rows and columns, not of tensors."""
    return isinstance(example, dict) and any(key in example for key in _KEYS[:2])
