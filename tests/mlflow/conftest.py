"""Models that real MLflow saved (see models/make_models.py), and environments to run them in."""

from pathlib import Path

import pytest

MODELS = Path(__file__).parent / "models"


@pytest.fixture(scope="session")
def models() -> Path:
    return MODELS
