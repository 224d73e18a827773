"""Packages for GPUs in an image that has no CUDA: gigabytes that nobody can use."""

from collections.abc import Iterable, Sequence
from typing import Any

from buildrules.lints.finding import WARNING, Finding

__all__ = ["gpu_wheels"]

_LIBRARIES = ("nvidia-", "triton", "pytorch-triton", "jax-cuda", "cupy-cuda")
_NOT = ("nvidia-ml-py", "tritonclient")
_BUILDS = {"onnxruntime-gpu": "onnxruntime", "faiss-gpu": "faiss-cpu", "tensorflow-gpu": "tensorflow-cpu"}
_NEEDED_BY = "torch"
"""Its wheels on the usual index are made for CUDA, and do not start without NVIDIA's libraries."""


def gpu_wheels(packages: Iterable[Sequence[Any]]) -> list[Finding]:
    """One finding for all packages for GPUs among `packages`: rows of name, version, size in bytes (or None)."""
    rows = [(str(name), str(version), int(size or 0)) for name, version, size, *_ in packages]
    libraries = [row for row in rows if row[0].startswith(_LIBRARIES) and not row[0].startswith(_NOT)]
    builds = [row for row in rows if "+cu" in row[1] or "+rocm" in row[1] or row[0] in _BUILDS]
    found = sorted({*libraries, *builds}, key=lambda row: (-row[2], row[0]))
    if not found:
        return []
    shown = ", ".join(f"{name} {version} ({_megabytes(size)})" for name, version, size in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    total = _megabytes(sum(size for _, _, size in found))
    message = f"{total} of packages for GPUs in an image without CUDA: {shown}{more}"
    return [Finding("gpu_wheels", WARNING, message, hint="; ".join(_hints(rows, libraries, builds)))]


def _hints(
    rows: Sequence[tuple[str, str, int]],
    libraries: Sequence[tuple[str, str, int]],
    builds: Sequence[tuple[str, str, int]],
) -> Iterable[str]:
    torch = next((version for name, version, _ in rows if name == _NEEDED_BY), None)
    if torch is not None:
        yield f"take torch=={torch.partition('+')[0]}+cpu, from PyTorch's own index of wheels for CPUs"
    elif libraries:
        yield f"leave them out of the environment: exclude: [{', '.join(sorted(name for name, _, _ in libraries))}]"
    for name, _, _ in builds:
        if name in _BUILDS:
            yield f"take {_BUILDS[name]} instead of {name}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size else "size unknown"
