"""A hundred models with environments as teams have them: what each requires, and the day on which it was locked.

The first family and the servers are those of the example workspace, whose environment is the one of Azure ML's custom
model. The others are what models are otherwise made with. A team's models were not locked on one day, which is why
they differ in small things: each is locked as of the fifteenth of one of eighteen months.
"""

import random
from typing import NamedTuple

FAMILIES: dict[str, tuple[int, list[str]]] = {
    "examples": (20, ["numpy==2.3.1", "scikit-learn==1.7.0", "scipy==1.16.0", "xgboost-cpu==3.0.2"]),
    "scikit-learn": (22, ["scikit-learn", "pandas"]),
    "gradient boosting": (10, ["xgboost-cpu", "scikit-learn", "pandas"]),
    "lightgbm": (11, ["lightgbm", "scikit-learn", "pandas", "shap"]),
    "statistics": (6, ["statsmodels", "pandas", "matplotlib"]),
    "onnx": (8, ["onnxruntime", "numpy"]),
    "language": (10, ["torch", "transformers", "sentencepiece"]),
    "vision": (6, ["torch", "torchvision", "opencv-python-headless", "pillow"]),
    "tensorflow": (4, ["tensorflow-cpu"]),
    "spacy": (3, ["spacy"]),
}
"""Weight, and what models of the family require."""

SERVERS: dict[str, tuple[int, list[str]]] = {
    "azureml_online": (45, ["azureml-inference-server-http"]),
    "fastapi": (30, ["fastapi", "uvicorn[standard]>=0.30"]),
    "waitress": (15, ["waitress"]),
    "mlserver": (10, ["mlserver"]),
}

BESIDE = [
    "azure-identity",
    "azure-storage-blob",
    "boto3",
    "cachetools",
    "category-encoders",
    "imbalanced-learn",
    "joblib",
    "jsonschema",
    "mlflow-skinny",
    "orjson",
    "prometheus-client",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "redis",
    "requests",
    "sqlalchemy",
    "structlog",
    "tenacity",
]
"""What single models need beside that."""

MONTHS = [f"{year}-{month:02}-15" for year in (2025, 2026) for month in range(1, 13)][5:23]


class Model(NamedTuple):
    """What one model's environment and server require, as of `day`."""

    name: str
    family: str
    requirements: tuple[str, ...]
    server: tuple[str, ...]
    day: str


def models(count: int, seed: int) -> list[Model]:
    """The same models for the same numbers."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        family = _one(chance, FAMILIES)
        server = _one(chance, SERVERS)
        beside = chance.sample(BESIDE, chance.choice([0, 1, 2, 2, 3, 4]))
        requirements = (*FAMILIES[family][1], *beside)
        found.append(Model(f"m{number:03}", family, requirements, tuple(SERVERS[server][1]), chance.choice(MONTHS)))
    return found


def _one(chance: random.Random, table: dict[str, tuple[int, list[str]]]) -> str:
    return chance.choices(list(table), [weight for weight, _ in table.values()])[0]
