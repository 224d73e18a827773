"""Runs in an environment with MLflow: loads a model with the scoring script and sends it requests."""

import importlib.util
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
script, model, requests = sys.argv[1:]
os.environ["AZUREML_MODEL_DIR"], os.environ["MLFLOW_MODEL_FOLDER"] = os.path.split(model)
sys.path.append(os.path.dirname(script))  # as the server does
spec = importlib.util.spec_from_file_location("entry_module", script)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.init()
answers = []
for body, kind in json.loads(requests):
    got = module.run(body, {"Content-Type": kind})
    refused = hasattr(got, "get_data")
    answers.append([got.status_code, json.loads(got.get_data())["message"]] if refused else [200, got])
print(json.dumps(answers))
