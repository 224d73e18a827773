"""What makes an image large: a tree of layers, packages and folders, and what could be left out."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from buildrules.contents.described import Described
from buildrules.contents.difference import parsed
from buildrules.contents.listing import GONE, Listed, view

_PYC = re.compile(r"(.*/)?__pycache__/([^/]+?)\.[^/]*\.pyc")
_TESTS = re.compile(r"(?:.*/)?(?:tests?|testing)/.*")
_HEADERS = re.compile(r".*\.(?:h|hh|hpp|hxx|cuh|pxd)")
_STATIC = re.compile(r".*\.(?:a|lib)")
_CUDA = re.compile(
    r"(?:.*/)?lib(?:cu(?:blas|dart|dnn|fft|pti|rand|solver|sparse)|nccl|nvrtc|nvjitlink|torch_cuda)[^/]*\.so.*", re.I
)
_TOOLS = ("pip", "setuptools", "wheel")
_LEAST = 0.001  # of an image, that a suggestion is made for
_LARGE = 1 << 20  # bytes from which on a file is worth to be told as there twice
_LIBRARY = "/site-packages/"
_DEPTH = 2  # steps of a path, below the library if it is in one


class Node(NamedTuple):
    """A part of an image: `size` in bytes, unpacked; `stored` those of a layer as registries keep it, else None."""

    name: str
    size: int
    stored: int | None
    parts: list["Node"]


class Suggestion(NamedTuple):
    """What could be left out: bytes and files unpacked, and how, "" where nothing here leaves it out."""

    what: str
    size: int
    files: int
    how: str


class Weight(NamedTuple):
    """What an image weighs: bytes unpacked, its layers, base first, and suggestions, largest first."""

    size: int
    layers: list[Node]
    suggestions: list[Suggestion]


def weigh(image: Described, debian: Mapping[str, str]) -> Weight:
    """What an image is made of. `debian` says of paths which Debian package they are of, as far as that is known.

    Raises what reading its layers raises.
    """
    listings = [image.read(item.layer) for item in image.layers]
    versions = {name: version for listing in listings for name, version in listing.python.items()}
    owners = {path: file.owner for listing in listings for path, file in listing.files.items() if file.owner}
    layers = []
    for item, listing in zip(image.layers, listings, strict=True):
        files = {path: file for path, file in listing.files.items() if file.content != GONE}
        groups: dict[str, dict[str, int]] = defaultdict(dict)
        for path, file in files.items():
            owner = file.owner or owners.get(_source(path), "")
            name = f"{owner} {versions.get(owner, '')}".rstrip() if owner else debian.get(path, "")
            groups[name][path] = file.size
        layers.append(Node(item.title, sum(file.size for file in files.values()), item.layer.size, _packages(groups)))
    seen = {path: file for path, file in view(listings).items() if file.content != GONE}
    found = sorted(_suggestions(image, seen, owners), key=lambda one: -one.size)
    size = sum(layer.size for layer in layers)
    return Weight(size, layers, [one for one in found if one.size > size * _LEAST])


def _source(path: str) -> str:
    """The source of a file of bytecode, the path itself for others."""
    match = _PYC.fullmatch(path)
    return f"{match[1] or ''}{match[2]}.py" if match else path


def _packages(groups: Mapping[str, Mapping[str, int]]) -> list[Node]:
    """A node for each package; the folders themselves where there is only one, or none is known."""
    if len(groups) == 1:
        return _folders(next(iter(groups.values())))
    nodes = []
    for name, files in groups.items():
        nodes += [Node(name, sum(files.values()), None, _folders(files))] if name else _folders(files)
    return _sorted(nodes)


def _folders(files: Mapping[str, int]) -> list[Node]:
    sizes: dict[str, int] = defaultdict(int)
    for path, size in files.items():
        _, inside, below = path.rpartition(_LIBRARY)
        steps = below.split("/")
        name = "/".join(steps[:_DEPTH]) + "/" * (len(steps) > _DEPTH)
        sizes[name if inside else f"/{name}"] += size
    return _sorted(Node(name, size, None, []) for name, size in sizes.items())


def _sorted(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: (-node.size, node.name))


def _suggestions(image: Described, files: Mapping[str, Listed], owners: Mapping[str, str]) -> Iterator[Suggestion]:
    def those(what: str, how: str, paths: Iterable[str]) -> Suggestion:
        found = list(paths)
        return Suggestion(what, sum(files[path].size for path in found), len(found), how)

    yield those(
        "bytecode",
        "`bytecode: false` of the package or its environment; it starts slower then",
        filter(_PYC.match, files),
    )
    if "buildrules.gpu" not in image.labels:
        nvidia = {path for path, owner in owners.items() if owner.startswith("nvidia-") and path in files}
        yield those("CUDA's wheels in a package for processors", '`exclude: ["nvidia-*"]` of the python_env', nvidia)
        rest = (path for path in files if _CUDA.fullmatch(path) and path not in nvidia)
        yield those(
            "CUDA's libraries in a package for processors",
            "a connection to the index of CPU wheels, see docs/how-to/pytorch.md",
            rest,
        )
    for tool in _TOOLS:
        own = [path for path in files if owners.get(_source(path)) == tool]
        yield those(
            f"{tool}, which installs others", f"`exclude: [{tool}]` of the python_env, if nothing imports it", own
        )
    yield from _models(image, files)
    again = [path for paths in _twice(files).values() for path in paths[1:]]
    how = "a symbolic link to the first, in the same folder of sources"
    yield those("files that are there twice", how, [path for path in again if path not in owners])
    python = [path for path in files if path in owners]
    yield those("files that several wheels bring", "", [path for path in again if path in owners])
    for what, pattern in (("tests of Python packages", _TESTS), ("headers", _HEADERS), ("static libraries", _STATIC)):
        yield those(what, "", (path for path in python if pattern.fullmatch(path)))


def _models(image: Described, files: Mapping[str, Listed]) -> Iterator[Suggestion]:
    """The models that are in the image."""
    said = parsed(image.labels.get("buildrules.models", ""))
    places = [str(place).strip("/") for place in said] if isinstance(said, dict) else []
    found = [file for path, file in files.items() if any(path == one or path.startswith(f"{one}/") for one in places)]
    how = "`mode: download` of the package: they are fetched when it starts"
    yield Suggestion("models", sum(file.size for file in found), len(found), how)


def _twice(files: Mapping[str, Listed]) -> dict[str, list[str]]:
    """The paths of large files by their content, where that is there several times."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, file in sorted(files.items()):
        if file.size >= _LARGE:
            found[file.content].append(path)
    return {content: paths for content, paths in found.items() if len(paths) > 1}
