"""The request that MLflow keeps with a model, in the form of its own server."""

import posixpath

from buildrules.rules.package import PackageParts

MLFLOW_EXAMPLE = "serving_input_example.json"
"""Its file, in the model's folder."""


def takes_mlflow_example(parts: PackageParts) -> bool:
    """Whether the package answers the request that MLflow keeps with a model."""
    known = parts.flavour == "mlflow" and parts.server.rule.file.mlflow_example in ("mlflow", "input_data")
    return known and (parts.code is None or parts.generated_code)


def may_send_example(parts: PackageParts) -> bool:
    """Whether the example may be what the package is tested with: as a request, or as what a job works on."""
    if parts.server_part.job is None:
        return takes_mlflow_example(parts)
    return parts.flavour == "mlflow" and parts.generated_code and parts.package.values["sample_request"] is None


def mlflow_example(parts: PackageParts) -> str | None:
    """Where the request lies, if it is there, that MLflow kept with a model of the workspace; None where the server
    does not take it as it is.
    """
    path = parts.model.values.get("path") if parts.model is not None else None
    return posixpath.join(path, MLFLOW_EXAMPLE) if path is not None and takes_mlflow_example(parts) else None
