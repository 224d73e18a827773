"""The application around the model."""

import os
from pathlib import Path

import joblib
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from labelled.rows import table


class Request(BaseModel):
    """What is asked."""

    rows: list[list[float]]


def application(file: str, width: int, labels: list[str]) -> FastAPI:
    """An application that answers with one of `labels` for each row of `width` numbers, by the model in `file`."""
    model = joblib.load(Path(os.environ["MODEL_PATH"]) / file)
    app = FastAPI(title=file)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(request: Request) -> dict[str, list[str]]:
        try:
            rows = table(request.rows, width)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return {"labels": [labels[number] for number in model.predict(rows)]}

    return app
