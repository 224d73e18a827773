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


def equivalents(name: str) -> tuple[str, ...]:
    """What serves instead of the distribution of this normalised name."""
    return tuple(other for group in _GROUPS if name in group for other in group if other != name)
