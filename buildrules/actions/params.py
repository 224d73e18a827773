"""The parameters of the built-in kinds: plain JSON types, and all of them are hashed.

Whoever plans an action makes them with these constructors, its kind reads them back. Nothing here names a place: where
content is fetched from, and what people call things, stands in an action's `places` and `title`.
"""

from collections.abc import Callable, Mapping, Sequence

from buildrules.engine.changes import Told
from buildrules.engine.form import misfit
from buildrules.errors import ActionError
from buildrules.typed import Any, NamedTuple, TypeVar, cast

P = TypeVar("P", bound=tuple[Any, ...])


def read(form: type[P], params: Mapping[str, Any]) -> P:
    """The parameters of an action as their kind has them. Raises ActionError for others, which a rule may give."""
    try:
        found = cast(Callable[..., P], form)(**params)
    except TypeError:
        fields = ", ".join(form._fields)  # type: ignore[attr-defined]  # every form is a named tuple
        raise ActionError(f"parameters of a step are {fields}, not {', '.join(sorted(params))}") from None
    wrong = misfit(form, found)
    if wrong is not None:
        raise ActionError(f"the parameter '{wrong}' of a step cannot be {params[wrong]!r:.80}")
    return found


class FetchParams(NamedTuple):
    """Of "fetch": what has to be in the store, see `actions.fetching`; with `check` what is there is hashed."""

    content: Sequence[Mapping[str, Any]]
    check: bool = False


class FilesParams(NamedTuple):
    """Of "files_layer": every file of every source set becomes `prefix`/name."""

    prefix: str


class InlineParams(NamedTuple):
    """Of "inline_layer": recipe parts of the kinds "directory", "symlink" and "inline", in order."""

    parts: Sequence[Mapping[str, Any]]


class ModelParams(NamedTuple):
    """Of "model_layers": where the model goes in the image. Its files are the only source set."""

    prefix: str


class FetchedModelParams(NamedTuple):
    """Of "fetched_model": `files` have `path` (below the prefix), `size` (bytes) and `sha256` (hex)."""

    prefix: str
    files: Sequence[Mapping[str, Any]]


class StartParams(NamedTuple):
    """Of "start_layers": `code` is the digest of the fetcher, `downloads` are as in start.json (`start.__main__`).

    A download whose `files` are None takes those of the next source set, which lie at its source under their names.
    """

    code: str
    downloads: Sequence[Mapping[str, Any]]


class WheelParams(NamedTuple):
    """Of "wheel_layer": `wheels` are rows of file name and sha256 (hex), `python` is like "3.11"."""

    wheels: Sequence[tuple[str, str]]
    prefix: str
    python: str


class BytecodeParams(NamedTuple):
    """Of "bytecode_layer": the sources below `folder` (in the image) are compiled, of recipe parts that are given here
    or that the dependencies laid. `interpreter` says which Python does it, by its version and not by its architecture:
    bytecode is the same on all. `script` is the digest of what it runs (hex)."""

    folder: str
    interpreter: str
    script: str
    parts: Sequence[Mapping[str, Any]] = ()


class CondaParams(NamedTuple):
    """Of "conda_layer": `packages` are rows of file name, sha256 (hex) and, for those that are noarch, the Python they
    are laid out for, like "3.11"."""

    packages: Sequence[tuple[str, str, str]]
    prefix: str


class InstalledParams(NamedTuple):
    """Of "installed": what the wheels are for (platform, python, glibc), and normalised names of distributions: those
    that nobody misses, and those whose files are used where another brings the same."""

    target: Mapping[str, str]
    exclude: Sequence[str]
    prefer: Sequence[str]


class BuildWheelParams(NamedTuple):
    """Of "build_wheel": what is built for which target, and by which Python of this host, such as "CPython 3.11.2".

    `sdist` has `name`, `version`, `filename` and `sha256` of a source archive; without one the source set is built.
    """

    name: str
    version: str
    target: Mapping[str, str]  # platform, python, glibc
    builder: str
    sdist: Mapping[str, Any] | None = None
    constraints: Sequence[str] = ()  # requirements for the build back end and its dependencies
    variables: Mapping[str, str] = {}  # of the environment, for the build back end


class DebianParams(NamedTuple):
    """Of "debian_layers": rows of name, version and sha256 (hex)."""

    packages: Sequence[tuple[str, str, str]]
    arch: str


class InterpreterParams(NamedTuple):
    """Of "python_layer": the sha256 (hex) of the archive, the version it has, like "3.12.15" or "3.13.17t", where it
    goes, and globs of what is left out; see `oci.parts.python`."""

    sha256: str
    python: str
    prefix: str
    drop: Sequence[str]


class BaseParams(NamedTuple):
    """Of "oci_base": the digest of a manifest or index, or the ID of an image in a Docker Engine, for `platform`.

    `python` is what its target says its Python is, like "3.11"; None to read it from the image.
    """

    digest: str
    platform: str
    python: str | None = None


class ScriptParams(NamedTuple):
    """Of "entry_script": functions the script must have, who calls them, and the image's Python, if it is known."""

    functions: Sequence[str]
    server: str
    python: str | None = None


class ImageParams(NamedTuple):
    """Of "image": `config` is as `oci.config.ImageConfig.from_dict` reads it; for the rest see `contract_labels` there.

    `created` are seconds (SOURCE_DATE_EPOCH), `launcher` words that go in front of the entry point.
    """

    platform: str
    config: Mapping[str, Any] = {}
    labels: Mapping[str, str] = {}
    routes: Mapping[str, str] = {}
    model: str | None = None
    locks: Mapping[str, str] = {}
    created: int = 0
    launcher: Sequence[str] = ()


class PackageTestParams(NamedTuple):
    """Of "package_test": see `actions.testing`. Either `requests` or a `job`."""

    platform: str
    network: bool
    environment: Mapping[str, str]
    ports: Sequence[int] = ()
    requests: Sequence[Mapping[str, Any]] | None = None
    ready: str | None = None
    port: int | None = None
    ready_timeout: float = 0.0
    stop_timeout: float = 0.0
    exit_codes: Sequence[int] | None = None
    job: Mapping[str, Any] | None = None
    gpus: str | None = None


class LintCodeParams(NamedTuple):
    """Of "lint" of code: lints to `ignore`, the script that is loaded first (None: any file), the image's Python (None:
    it is not known), and the `models` that lie among the code, by name below it. `roots` are the folders, as imports
    see them, of the first source sets, those that are code ("" for what is imported by its own name). `made` are
    modules that the server makes while it runs, `unseen` the distributions that nothing is known of before they are
    built."""

    ignore: Sequence[str]
    entry: str | None
    python: str | None
    models: Sequence[str]
    roots: Sequence[str] = ("",)
    made: Sequence[str] = ()
    unseen: Sequence[str] = ()
    code: bool = True


class LintPackageParams(NamedTuple):
    """Of "lint" of what is around the code: `packages` are rows of name, version and size, `variables` the image's,
    `requirements` what is asked of the `server`, `models` the prefixes of models. `written` and `tests` are names of
    variables, and of values of tests, that seem to hold a secret; `unseen` as above; `cuda` is the major version that
    is asked for, `no_gpu` whether `gpu: false` is said."""

    ignore: Sequence[str]
    packages: Sequence[tuple[str, str, int | None]]
    variables: Sequence[str]
    server: str
    requirements: Sequence[str]
    written: Sequence[str]
    tests: Sequence[str]
    models: Sequence[str]
    unseen: Sequence[str] = ()
    cuda: str | None = None
    no_gpu: bool = False
    code: bool = False


_FOLDER = Told("folder in the image")
_PYTHON = Told("Python")
_VARIABLES = Told("variable")

TOLD: Mapping[str, Mapping[str, Told]] = {
    "fetch": {"content": Told("content", ("digest",))},
    "files_layer": {"prefix": _FOLDER},
    "inline_layer": {"parts": Told("file", ("path",))},
    "model_layers": {"prefix": _FOLDER},
    "fetched_model": {"prefix": _FOLDER, "files": Told("file", ("path",))},
    "start_layers": {"code": Told("program that downloads"), "downloads": Told("download to", ("directory",))},
    "wheel_layer": {"wheels": Told("wheel", ("filename", "sha256")), "prefix": _FOLDER, "python": _PYTHON},
    "bytecode_layer": {
        "folder": _FOLDER,
        "interpreter": _PYTHON,
        "script": Told("how it is compiled"),
        "parts": Told("part", ("digest",)),
    },
    "conda_layer": {"packages": Told("conda package", ("filename", "sha256", "python")), "prefix": _FOLDER},
    "installed": {"target": Told(""), "exclude": Told("excluded"), "prefer": Told("preferred")},
    "build_wheel": {"target": Told(""), "builder": Told("Python that builds"), "sdist": Told("source archive")},
    "debian_layers": {"packages": Told("package", ("name", "version", "sha256"))},
    "python_layer": {"sha256": Told("archive"), "python": _PYTHON, "prefix": _FOLDER, "drop": Told("left out")},
    "oci_base": {"digest": Told("image"), "python": _PYTHON},
    "entry_script": {"functions": Told("functions it must have"), "python": _PYTHON},
    "image": {
        "config": Told(""),
        "labels": Told("label"),
        "locks": Told("lock of the"),
        "created": Told("SOURCE_DATE_EPOCH"),
    },
    "package_test": {"environment": _VARIABLES, "requests": Told("request", ("name",))},
    "lint": {"python": _PYTHON, "packages": Told("package", ("name", "version", "size"))},
}
"""How parameters are told to people where they say what changed, by kind; else they go by their own name."""
