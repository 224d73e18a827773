import os
from pathlib import Path

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
models = {
    f"{path.parts[-3]}:{path.parts[-2]}": joblib.load(path)
    for path in Path(os.environ["MODEL_DIR"]).glob("*/*/*.joblib")
}


class Rows(BaseModel):
    data: list[list[float]]


@app.get("/healthz")
def health() -> str:
    return "ok"


@app.post("/predict")
def predict(rows: Rows) -> dict[str, list[int]]:
    return {name: model.predict(rows.data).tolist() for name, model in sorted(models.items())}
