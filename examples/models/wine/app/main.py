"""A FastAPI application around a gradient-boosted classifier of wines."""

import os
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel, Field
from xgboost import XGBClassifier

model = XGBClassifier()


@asynccontextmanager
async def lifespan(_: FastAPI):
    """Load the model before the first request."""
    model.load_model(Path(os.environ["MODEL_DIR"]) / "model" / "wine.json")
    yield


app = FastAPI(title="wine", lifespan=lifespan)


class Wines(BaseModel):
    """Rows of 13 chemical measurements."""

    rows: list[list[float]] = Field(min_length=1)


@app.get("/healthz")
def health() -> dict[str, str]:
    """Say that the process is up."""
    return {"status": "ok"}


@app.post("/predict")
def predict(wines: Wines) -> dict[str, list[int]]:
    """Give the cultivar, 0 to 2, of each row."""
    return {"cultivars": [int(number) for number in model.predict(wines.rows)]}
