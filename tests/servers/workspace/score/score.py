import json
import os
from pathlib import Path

import joblib


def init():
    global models  # noqa: PLW0603
    root = Path(os.environ["AZUREML_MODEL_DIR"])
    models = {f"{path.parts[-3]}:{path.parts[-2]}": joblib.load(path) for path in sorted(root.glob("*/*/*.joblib"))}


def run(raw_data):
    rows = json.loads(raw_data)["data"]
    return {name: model.predict(rows).tolist() for name, model in models.items()}
