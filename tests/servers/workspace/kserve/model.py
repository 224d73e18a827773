import argparse
import os

import joblib
import kserve
from kserve.utils.utils import generate_uuid


class Iris(kserve.Model):
    def load(self):
        self.model = joblib.load(os.environ["MODEL_PATH"])
        self.ready = True

    def predict(self, payload, headers=None):
        if isinstance(payload, kserve.InferRequest):
            rows = payload.inputs[0].as_numpy()
            output = kserve.InferOutput("species", [len(rows)], "INT64", self.model.predict(rows).tolist())
            return kserve.InferResponse(payload.id or generate_uuid(), self.name, [output])
        return {"predictions": self.model.predict(payload["instances"]).tolist()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    arguments, _ = parser.parse_known_args()
    iris = Iris(arguments.model_name)
    iris.load()
    kserve.ModelServer().start([iris])
