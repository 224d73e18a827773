import os

import bentoml
import joblib


@bentoml.service
class Iris:
    def __init__(self):
        self.model = joblib.load(os.environ["MODEL_PATH"])

    @bentoml.api
    def predict(self, data: list[list[float]]) -> list[int]:
        return self.model.predict(data).tolist()
