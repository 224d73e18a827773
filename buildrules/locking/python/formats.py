"""Every table and key of the formats that requirements are read from: what becomes of it here.

HONOURED is read and counts. REFUSED would change what is meant and cannot be honoured: an error. HARMLESS says nothing
about what goes into an environment. What stands in no table is told to the user as not read.
"""

HONOURED, REFUSED, HARMLESS = "honoured", "refused", "harmless"


def _table(**words: str) -> dict[str, str]:
    return {name: verdict for verdict, names in words.items() for name in names.split()}


PYPROJECT = _table(honoured="project dependency-groups tool", harmless="build-system")
"""Tables of a pyproject.toml (pyproject specification, PEP 735)."""

PROJECT = _table(
    honoured="name dependencies optional-dependencies requires-python dynamic",
    harmless="version description readme license license-files authors maintainers keywords classifiers urls scripts"
    " gui-scripts entry-points import-names import-namespaces",
)
"""Keys of [project] (PEP 621, PEP 639, PEP 794)."""

UV = _table(
    honoured="sources workspace index constraint-dependencies exclude-dependencies prerelease dev-dependencies"
    " dependency-groups",
    refused="override-dependencies resolution fork-strategy dependency-metadata exclude-newer exclude-newer-package"
    " index-strategy no-index find-links no-sources no-sources-package no-binary no-binary-package no-build"
    " no-build-package prerelease-package torch-backend build-constraint-dependencies extra-build-dependencies"
    " extra-build-variables config-settings config-settings-package no-build-isolation no-build-isolation-package"
    " minimum-libc-version require-build-hashes pip index-url extra-index-url",
    harmless="required-version system-certs native-tls offline no-cache cache-dir preview preview-features"
    " python-preference python-downloads concurrent-downloads concurrent-builds concurrent-installs keyring-provider"
    " http-proxy https-proxy no-proxy allow-insecure-host link-mode compile-bytecode upgrade upgrade-package reinstall"
    " reinstall-package python-install-mirror pypy-install-mirror graalpy-install-mirror pyodide-install-mirror"
    " python-downloads-json-url publish-url trusted-publishing check-url add-bounds audit cache-keys environments"
    " required-environments conflicts managed package default-groups build-backend",
)
"""Keys of [tool.uv], by the list that uv itself gives when it meets one that it does not know."""

ELSEWHERE = frozenset(
    _table(
        where="index index-url extra-index-url no-index find-links",
        projects="sources workspace dev-dependencies dependency-groups",
    )
)
"""Those of them that say where packages come from, or belong to single projects."""

INDEX = _table(
    honoured="name url explicit default format",
    refused="exclude-newer exclude-newer-package",
    harmless="publish-url authenticate ignore-error-codes cache-control hash-algorithm",
)
"""Keys of an entry of [[tool.uv.index]] that a source names; of formats only that of PEP 503 is known."""

SOURCE = _table(
    honoured="path workspace url index marker extra group package",
    refused="git subdirectory rev tag branch",
    harmless="editable lfs",
)
"""Keys of an entry of [tool.uv.sources]."""

OTHER_TOOLS = {
    "poetry": ("dependencies", "source"),
    "pdm": ("dependencies", "source", "resolution"),
    "flit": ("metadata",),
    "pixi": ("dependencies", "pypi-dependencies", "pypi-options"),
    "rye": ("sources",),
    "hatch": ("metadata",),
    "setuptools": ("dynamic",),
}
"""Tables [tool.X.Y] of other tools that may say what a project depends on, or where it comes from."""

REQUIREMENTS = _table(
    honoured="--index-url --extra-index-url --constraint --requirement --pre --hash --require-hashes --editable",
    refused="--no-index --find-links --trusted-host --no-binary --only-binary --use-feature --global-option"
    " --config-settings",
    harmless="--prefer-binary",
)
"""Options of requirements files (pip's reference, "Requirements File Format")."""

CONDA = _table(honoured="name dependencies variables", harmless="channels prefix platforms")
"""Keys of a conda file (docs.conda.io, `conda_env.env.VALID_KEYS`); wheels come from no channel."""

PYTHON_ENV = _table(honoured="python dependencies", harmless="build_dependencies")
"""Keys of MLflow's python_env.yaml (`mlflow.utils.environment._PythonEnv`)."""

MLMODEL = _table(
    honoured="flavors mlflow_version signature saved_input_example_info",
    harmless="artifact_path auth_policy databricks_runtime env_vars is_signature_from_type_hint metadata model_id"
    " model_size_bytes model_uuid prompts resources run_id type_hint_from_example utc_time_created",
)
"""Keys of MLmodel (`mlflow.models.Model.to_dict`, 1.30 to 3.18)."""

SIGNATURE = _table(honoured="inputs params", harmless="outputs")
"""Keys of its `signature` (`mlflow.models.ModelSignature.to_dict`)."""

LOCKS = {
    "uv.lock": (
        _table(
            honoured="version package",
            harmless="revision requires-python resolution-markers supported-markers required-markers conflicts options"
            " manifest",
        ),
        _table(
            honoured="name version source resolution-markers",
            harmless="dependencies sdist wheels optional-dependencies dev-dependencies metadata",
        ),
    ),
    "poetry.lock": (
        _table(honoured="package metadata", harmless="extras"),
        _table(
            honoured="name version source markers",
            harmless="description category optional python-versions groups files dependencies extras develop",
        ),
    ),
    "pdm.lock": (
        _table(honoured="package metadata"),
        _table(
            honoured="name version path git url marker",
            harmless="summary requires_python groups dependencies files extras revision ref editable subdirectory",
        ),
    ),
    "pylock.toml": (
        _table(
            honoured="lock-version packages",
            harmless="environments requires-python extras dependency-groups default-groups created-by tool",
        ),
        _table(
            honoured="name version vcs directory archive marker",
            harmless="requires-python dependencies index sdist wheels attestation-identities tool",
        ),
    ),
}
"""Top-level and package keys of other tools' locks, of which versions are preferences and no more."""

LOCK = (
    _table(
        honoured="environments requires-python lock-version packages tool",
        harmless="extras dependency-groups default-groups created-by",
    ),
    _table(
        honoured="name version marker requires-python vcs directory archive sdist wheels tool",
        harmless="dependencies index attestation-identities",
    ),
    _table(honoured="version inputs base name platform python glibc portable members"),
    _table(honoured="source asks index variables"),
)
"""Keys of our own locks: of the file and of a package (PEP 751), of [tool.buildrules], and of a package's own."""
