"""Models that real MLflow saved (see models/make_models.py), and environments to run them in."""

from pathlib import Path

import pytest

from tests.support.venvs import environment

MODELS = Path(__file__).parent / "models"
VENVS = {
    "1": ["mlflow-skinny==1.30.1", "scikit-learn==1.3.2", "pandas<2", "numpy<2", "setuptools<81"],
    "2": ["mlflow-skinny==2.22.5", "scikit-learn==1.6.1", "pandas==2.2.3"],
    "3": ["mlflow-skinny==3.17.2", "scikit-learn==1.9.1", "skops==0.16.0", "pandas==3.1.1"],
}


def mlflow_python(major: str) -> Path:
    """A Python with a major version of MLflow, and Azure ML's server."""
    return environment(f"mlflow{major}", *VENVS[major], "azureml-inference-server-http") / "python"


@pytest.fixture(scope="session")
def models() -> Path:
    return MODELS
