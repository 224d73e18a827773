import os

import joblib
import litserve
from fastapi import HTTPException


class Iris(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(os.environ["MODEL_PATH"])

    def decode_request(self, request):
        if "data" not in request:
            raise HTTPException(422, "there is no 'data'")
        return request["data"]

    def predict(self, rows):
        return self.model.predict(rows).tolist()

    def encode_response(self, output):
        return {"species": output}


if __name__ == "__main__":
    server = litserve.LitServer(Iris(), accelerator="cpu")
    server.run(port=int(os.environ["PORT"]), generate_client_file=False)
