"""Distributions that are one another under different names: whoever asks for one is served by the other."""

_GROUPS = (
    ("xgboost", "xgboost-cpu"),
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "intel-tensorflow", "tensorflow-cpu-aws"),
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-training"),
    ("psycopg2", "psycopg2-binary"),
    ("faiss-cpu", "faiss-gpu"),
)
"""Each group installs the same modules, by its own documentation, and numbers its versions alike."""


_PARTS = {"mlflow": ("mlflow-skinny",)}
"""By distributions, those that bring a part of the same modules. MLflow's whole asks for its part since 2.15 only."""


def equivalents(name: str) -> tuple[str, ...]:
    """What serves instead of the distribution of this normalised name."""
    return (*_alike(name), *(whole for whole, parts in _PARTS.items() if name in parts))


def served_by(name: str) -> tuple[str, ...]:
    """The distributions instead of which that of this normalised name serves."""
    return (*_alike(name), *_PARTS.get(name, ()))


def _alike(name: str) -> tuple[str, ...]:
    return tuple(other for group in _GROUPS if name in group for other in group if other != name)
