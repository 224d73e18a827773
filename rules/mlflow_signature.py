"""Makes of tables what a model's signature says: of JSON and CSV the types that these cannot write.

Runs with MLflow 1.x to 3.x, and with pandas and numpy of any of their times.
"""

import base64

import pandas

NUMBERS = ("integer", "long", "float", "double", "boolean")


def is_tensor(schema):
    """Whether the model takes arrays."""
    ask = getattr(schema, "is_tensor_spec", None)
    return bool(ask and ask())


def read_csv(source, schema):
    """A table of a CSV file, whose texts stay texts: 007 is no number where the signature says string."""
    texts = {}
    if schema is not None and not is_tensor(schema):
        texts = {spec.name: str for spec in schema.inputs if spec.name and kind_of(spec) == "string"}
    return pandas.read_csv(source, dtype=texts)


def cast(table, schema):
    """JSON and CSV write 1 for 1.0, a text for a time and for bytes; the signature knows which is meant."""
    if schema is None or (is_tensor(schema) and len(schema.inputs) > 1):
        return table
    if is_tensor(schema):
        return table.astype(schema.inputs[0].type)
    names = schema.input_names() if all(schema.input_names()) else list(table.columns)[: len(schema.inputs)]
    for name, spec in zip(names, schema.inputs):
        kind = kind_of(spec)
        if name not in table:
            continue
        if kind == "datetime":
            table[name] = pandas.to_datetime(table[name]).astype("datetime64[ns]")
        elif kind == "binary":
            table[name] = table[name].map(decode)
        elif kind in NUMBERS and not table[name].isna().any():
            table[name] = table[name].astype(spec.type.to_numpy())
        elif kind == "string" and not table[name].isna().any():
            table[name] = table[name].astype(object)
    return table


def kind_of(spec):
    """The name of a column's type; None for arrays and objects."""
    return getattr(spec.type, "name", None)


def decode(value):
    """Bytes of their base64; files such as parquet hold them as they are."""
    return base64.decodebytes(value.encode()) if isinstance(value, str) else value
