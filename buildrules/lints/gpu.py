"""Packages for GPUs in images without CUDA, and what does not fit together where there is one."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from buildrules.lints.finding import WARNING, Finding
from buildrules.typed import Any

_PARTS = ("nvidia-*", "cuda-*")
_LIBRARIES = (
    *(*_PARTS, "*-cu[0-9]*", "*-cuda[0-9]*", "cupy-cuda*"),  # CUDA's parts, and what is built for one CUDA
    *("triton", "pytorch-triton*", "tensorrt*", "torch-tensorrt"),
    *("*-rocm", "*-rocm[0-9]*", "*-rocm-[0-9]*", "*-gpu", "*-gpu-cu[0-9]*"),
)
_NOT = ("nvidia-ml-py*",)
"""It asks a driver whether there is one."""
_BUILDS = ("+cu", "+rocm")
"""Local versions of wheels that are for one CUDA or ROCm."""
_INSTEAD = {
    "faiss-gpu": "faiss-cpu",
    "onnxruntime-gpu": "onnxruntime",
    "paddlepaddle-gpu": "paddlepaddle",
    "tensorflow-gpu": "tensorflow-cpu",
    "xgboost": "xgboost-cpu",
}
"""What to take instead of what is for GPUs, or asks for such."""
_CPU_NAMES = ("*-cpu", "*-cpu-*")
_CPU_BUILD = "+cpu"
"""Local version of wheels that PyTorch and others build for no GPU."""
_CUDA = re.compile(r"[-+]cu(?:da)?(1[0-9])")
"""The major version of CUDA in name or version of what is built for one: nvidia-nccl-cu12, cupy-cuda12x, +cu126."""
_VERSIONED = (
    *("cuda-toolkit", "cuda-bindings", "cuda-python", "nvidia-cublas", "nvidia-nvjitlink"),
    *("nvidia-cuda-runtime", "nvidia-cuda-nvrtc", "nvidia-cuda-cupti"),
)
"""Since CUDA 13 the libraries have no suffix; these have CUDA's own version, cuDNN, cuFFT and others do not."""
_INDEXES = {"11": "cu118", "12": "cu128", "13": "cu130"}
"""An index of PyTorch's for each major version of CUDA; there are more (pytorch.org/get-started/previous-versions)."""
_OF_TORCH = ("torch", "torchvision", "torchaudio")
"""Their wheels on the usual index are made for CUDA: the first does not start without NVIDIA's libraries, and the rest
is compiled for it."""
_VARIABLES = (
    *("CUDA_VERSION", "CUDA_HOME", "CUDA_PATH", "NV_CUDA_*", "ROCM_VERSION", "ROCM_PATH"),
    "NVIDIA_VISIBLE_DEVICES",  # which NVIDIA's container runtime acts on: the rest may come as wheels
)


def is_for_gpu(name: str, version: str = "") -> bool:
    """Whether the distribution of this normalised name, or this build of it, is of use with a GPU only."""
    if any(mark in version for mark in _BUILDS):
        return True
    return _fits(name, _LIBRARIES) and not _fits(name, _NOT)


def has_gpu(variables: Iterable[str]) -> bool:
    """Whether an image with environment variables of these names is made for GPUs."""
    return any(_fits(name, _VARIABLES) for name in variables)


def _fits(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) for one in globs)


def cuda_asked(gpu: str | None) -> str | None:
    """The major version in what a package says it is made for, "cuda12"; None for any."""
    return (gpu or "").removeprefix("cuda") or None


def of_environment(
    packages: Sequence[Sequence[Any]], variables: Iterable[str], cuda: str | None = None, *, refused: bool = False
) -> Iterator[Finding]:
    """All findings about `packages`, rows as below, in an image with variables of these names. `cuda` is the major
    version that is asked for, None for any; `refused` says that `gpu: false` was said.
    """
    if has_gpu(variables):
        yield from (*cpu_wheels(packages), *cuda_versions(packages, cuda))
    else:
        yield from gpu_wheels(packages, refused=refused)


def gpu_wheels(packages: Iterable[Sequence[Any]], *, refused: bool = False) -> list[Finding]:
    """One finding for all packages for GPUs among `packages`: rows of name, version, size in bytes (or None)."""
    rows = [(str(name), str(version), int(size or 0)) for name, version, size, *_ in packages]
    found = sorted((row for row in rows if is_for_gpu(*row[:2])), key=lambda row: (-row[2], row[0]))
    if not found:
        return []
    shown = ", ".join(f"{name} {version} ({megabytes(size)})" for name, version, size in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    total = megabytes(sum(size for _, _, size in found))
    message = f"{total} of packages for GPUs in an image without CUDA: {shown}{more}"
    versions = {name: version for name, version, _ in rows}
    hint = "; ".join(ways_out(versions, [name for name, _, _ in found], refused=refused))
    return [Finding("gpu_wheels", WARNING, message, hint=hint)]


def cpu_wheels(packages: Iterable[Sequence[Any]]) -> list[Finding]:
    """One finding for all of `packages`, rows of name and version, that are built for CPUs alone."""
    versions = {str(name): str(version) for name, version, *_ in packages}
    found = sorted(name for name in versions if _CPU_BUILD in versions[name] or _fits(name, _CPU_NAMES))
    if not found:
        return []
    shown = ", ".join(f"{name} {versions[name]}" for name in found)
    hints = []
    if torch := ", ".join(name for name in _OF_TORCH if name in found):
        hints.append(
            f"take {torch} from the usual index, or from PyTorch's of one CUDA, and leave the connection of its index"
            " for CPUs out of this environment: connections: [...]"
        )
    instead = {cpu: gpu for gpu, cpu in _INSTEAD.items()}
    hints += [f"take {instead[name]} instead of {name}" for name in found if name in instead]
    hint = "; ".join(hints) or "take their builds for CUDA"
    return [Finding("cpu_wheels", WARNING, f"packages for CPUs in an image for GPUs: {shown}", hint=hint)]


def cuda_versions(packages: Iterable[Sequence[Any]], asked: str | None = None) -> list[Finding]:
    """One finding where `packages`, rows of name and version, are for several major versions of CUDA, or for another
    than the one that is `asked` for ("12"; None for any).
    """
    majors: dict[str, list[str]] = {}
    names = set()
    for name, version, *_ in packages:
        names.add(str(name))
        if (major := _cuda_of(str(name), str(version))) is not None:
            majors.setdefault(major, []).append(f"{name} {version}")
    ordered = sorted(majors, key=int)
    if not ordered or ordered == [asked or ordered[0]]:
        return []
    shown = " and ".join(f"CUDA {major} ({_some(sorted(majors[major]))})" for major in ordered)
    wanted = f", and CUDA {asked} is asked for" if asked else ""
    right = asked or max(ordered, key=lambda major: len(majors[major]))
    torch = ", ".join(name for name in _OF_TORCH if name in names)
    if right in majors:
        others = sorted(text.partition(" ")[0] for major in ordered if major != right for text in majors[major])
        hint = f"leave out of the environment what is not for CUDA {right}: exclude: [{', '.join(_as_globs(others))}]"
    elif torch and right in _INDEXES:
        hint = f"take {torch} from PyTorch's index for CUDA {right}: {connection_of_torch(torch, _INDEXES[right])}"
    else:
        named = sorted({text.partition(" ")[0] for texts in majors.values() for text in texts})
        libraries = [name for name in named if _fits(name, _PARTS)]
        ways = [f"take a build of {name} for CUDA {right}" for name in named if name not in libraries]
        if libraries:
            ways.append(f"leave out what works without: exclude: [{', '.join(_as_globs(libraries))}]")
        hint = f'{"; ".join(ways)}; or ask for theirs: gpu: {{cuda: "{ordered[-1]}"}}'
    return [Finding("cuda_versions", WARNING, f"packages for {shown}{wanted}", hint=hint)]


def _cuda_of(name: str, version: str) -> str | None:
    """The major version of CUDA that a distribution is built for; None where it is for none, or does not say."""
    if not is_for_gpu(name, version):
        return None
    if found := _CUDA.search(f"{name}+{version.partition('+')[2]}"):
        return found[1]
    return version.partition(".")[0] if name in _VERSIONED else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def ways_out(
    versions: Mapping[str, str],
    found: Sequence[str],
    asking: Sequence[str] | None = None,
    *,
    refused: bool = False,
) -> Iterator[str]:
    """How to do without `found`, packages for GPUs, in an environment with these `versions` by name.

    `asking` are those of the others that ask for them, None where that is not known. With `refused` nobody is told of
    `gpu: true`, for `gpu: false` was said.
    """
    torch = _OF_TORCH[0] in versions and (asking is None or _OF_TORCH[0] in asking)
    if torch:
        packages = ", ".join(name for name in _OF_TORCH if name in versions)
        yield f"take {_OF_TORCH[0]} from PyTorch's index of wheels for CPUs: {connection_of_torch(packages)}"
    for name in sorted({*found, *(asking or ())} & _INSTEAD.keys()):
        yield f"take {_INSTEAD[name]} instead of {name}"
    libraries = [name for name in found if name not in _INSTEAD and not any(it in versions[name] for it in _BUILDS)]
    if libraries and not torch:
        yield f"leave them out of the environment: exclude: [{', '.join(_as_globs(libraries))}]"
    if refused:
        yield "give the package an environment of its own without them; or take its `gpu: false` out"
    else:
        yield (
            "if there will be a GPU, say so with gpu: true in the environment or the package, in a file of Azure ML"
            " with environment_variables: {NVIDIA_VISIBLE_DEVICES: all}"
        )


def connection_of_torch(packages: str, build: str = "cpu") -> str:
    """The connection that has PyTorch's wheels of one build: cpu, cu126, rocm6.3 ..."""
    return (
        f"under workspace.connections, `pytorch-{build}:"
        f' {{type: python_feed, target: "https://download.pytorch.org/whl/{build}", packages: [{packages}]}}`'
    )


def of_torch(names: Iterable[str]) -> list[str]:
    """Those of these normalised names that PyTorch's own indexes have builds of."""
    return [name for name in names if name in _OF_TORCH]


def _as_globs(names: Sequence[str]) -> list[str]:
    """Names for `exclude`; of a family of which there are many, its glob."""
    found = set(names)
    for glob in _PARTS:
        family = {name for name in found if fnmatch.fnmatchcase(name, glob)}
        if len(family) > 2:
            found = found - family | {f'"{glob}"'}
    return sorted(found)


def megabytes(size: int) -> str:
    """A number of bytes, for people; 0 stands for what is not known."""
    return f"{size / 1e6:.{1 if size < 1e7 else 0}f} MB" if size else "size unknown"
