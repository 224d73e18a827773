"""A WSGI application that reads 8 x 8 images of digits."""

import json
import os
from pathlib import Path

import joblib
import numpy

model = joblib.load(Path(os.environ["MODEL_DIR"]) / "model" / "digits.joblib")


def application(environ, start_response):
    """Answer GET /healthz and POST /predict {"images": [[64 numbers], ...]}."""
    status, answer = "404 Not Found", {"error": "no such route"}
    if environ["PATH_INFO"] == "/healthz":
        status, answer = "200 OK", {"status": "ok"}
    elif environ["PATH_INFO"] == "/predict" and environ["REQUEST_METHOD"] == "POST":
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)))
        digits = model.predict(numpy.array(body["images"], dtype=float))
        status, answer = "200 OK", {"digits": digits.tolist()}
    data = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
