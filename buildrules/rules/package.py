"""A model package taken apart: its base, environment, server, model and code, and what they add to the image."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.oci.config import PREFIX
from buildrules.rules.chain import below
from buildrules.rules.contribution import VENV, Contribution, contribute
from buildrules.rules.libraries import code_libraries
from buildrules.rules.model_content import model_content
from buildrules.rules.model_places import mount_directory
from buildrules.rules.requires import check_requires, check_versions
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label

_GPU_VARIABLES = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "NVIDIA_VISIBLE_DEVICES": "all"}
"""What NVIDIA's container runtime acts on (NVIDIA Container Toolkit, "Docker Specialized Configurations")."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an image that sets none, as container engines assume it."""
LIBRARIES = "/opt/libraries"
"""Where the code that packages share lies in every image, whatever its server is: so it is one layer for all."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A model or an input, and where it goes: `directory`, absolute in the image.

    It gets there in `mode` copy (layers) or download (fetched at start). With `keep_folder` a folder keeps its name
    below `directory`, otherwise its contents go there directly.
    """

    target: ResolvedTarget
    directory: str
    keep_folder: bool
    mode: str


@dataclass(slots=True)
class PackageParts:
    """The targets a package joins, and the filled-in contributions of base, environment and server.

    `models` are the package's one model (`model`) or several (then `model` is the first); `placed` says where models
    and inputs go. `code` is the code that the server starts; `shared` are the other targets of `code:` (more code for
    the same directory, file groups, and libraries), and what these libraries import. `groups` are the file groups among
    the `srcs` of models and inputs.

    `flavour` is the model's kind, None without a model or if it is not there to look at. `generated_code` says that the
    server's `without_code` stands in for the code (`server_part.files`).

    `base` is None where it is left open: it follows from the Python that the environment or the model asks for.
    """

    package: ResolvedTarget
    base: ResolvedTarget | None
    env: ResolvedTarget | None
    server: ResolvedTarget
    models: list[ResolvedTarget]
    inputs: list[ResolvedTarget]
    placed: list[Placed]
    code: ResolvedTarget | None
    shared: list[ResolvedTarget]
    groups: dict[Label, list[ResolvedTarget]]
    flavour: str | None
    generated_code: bool
    base_part: Contribution
    env_part: Contribution | None
    server_part: Contribution

    @property
    def model(self) -> ResolvedTarget | None:
        """The model, the first of several."""
        return self.models[0] if self.models else None

    @property
    def gpu(self) -> str | None:
        """See `gpu_of`; the package's word stands above its environment's."""
        return gpu_of(self.package, self.env)

    @property
    def gpu_variables(self) -> dict[str, str]:
        """The variables that a GPU needs; none without one."""
        return dict(_GPU_VARIABLES) if self.gpu is not None else {}

    def environment(self, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment variables of the image, sorted by name.

        `inherited` are those of the base image, if it is one. Then base, environment, server, what a GPU needs, and
        package, the later winning. PATH is the base's, behind the directories that environment and server put in front.
        The directory of libraries stands last in PYTHONPATH.
        """
        parts = [part for part in (self.base_part, self.env_part, self.server_part) if part is not None]
        merged = dict(inherited or {})
        for part in parts:
            merged.update(part.environment)
        front = [directory for part in reversed(parts) for directory in part.path]
        merged["PATH"] = ":".join(dict.fromkeys([*front, merged.get("PATH") or DEFAULT_PATH]))
        merged.update(self.gpu_variables)
        merged.update(self.package.values.get("environment") or {})
        if any(target.provides == "library" for target in self.shared):
            merged["PYTHONPATH"] = ":".join(filter(None, (merged.get("PYTHONPATH"), LIBRARIES)))
        return dict(sorted(merged.items()))

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the image that rules and package ask for, sorted by name.

        Raises LoadError for one that only this program gives.
        """
        merged: dict[str, str] = {}
        for part in (self.base_part, self.env_part, self.server_part):
            merged.update(part.labels if part is not None else {})
        own = self.package.values.get("labels") or {}
        merged.update(own)
        for name in merged:
            if name.startswith(PREFIX):
                raise LoadError(
                    f"the label '{name}' cannot be given: what begins with `{PREFIX}` says what the image holds",
                    hint="`tags`, `resources` and `gpu` of a package become such labels; give this one another name",
                    position=self.package.position_of("labels") if name in own else None,
                )
        return dict(sorted(merged.items()))

    @property
    def user(self) -> str | None:
        """User of the image: the package's word, else the server's, the environment's, the base's."""
        said = self.package.values.get("user")
        parts = (self.server_part, self.env_part, self.base_part)
        return said or next((part.user for part in parts if part is not None and part.user), None)

    @property
    def ports(self) -> list[int]:
        """Ports of the image."""
        return sorted(set(self.package.values.get("ports") or self.server_part.ports))


def take_apart(resolution: Resolution, label: Label, disk: Disk, shared: dict[Label, Contribution]) -> PackageParts:
    """The parts of the package `label`. `disk` is the workspace's, to look at the model's kind; `shared` keeps
    the contributions of bases and environments for the packages after this one.

    Raises LoadError with the position where the parts do not go together; KeyError if a target is missing.
    """
    package = resolution.of(label)
    foundation = _dep(resolution, package, "base_env")
    server = _dep(resolution, package, "server")
    assert server is not None
    env = foundation if foundation is not None and foundation.provides == "env" else None
    base = _dep(resolution, env, "base") if env is not None else foundation
    models = [*_deps(resolution, package, "model"), *_deps(resolution, package, "models")]
    inputs = _deps(resolution, package, "inputs")
    code, others = _code(resolution, package, env)
    scopes = [_model_scope(disk.by(one.label), one) for one in models]
    flavour = scopes[0]["model.flavour"] if scopes else None
    generated = check_requires(package, server, models, code, flavour)
    check_versions(server, models, scopes)
    if foundation is None and (flavour not in ("mlflow", None) or len(models) != 1):
        raise needs_foundation(package)
    if (path := package.values.get("mount_path")) is not None:
        with package.errors_at("mount_path"):
            mount_directory(path, "/working/directory")  # whatever it is relative to
    with package.errors_at("models" if len(models) > 1 else "server"):
        server_part = contribute(
            server.rule,
            _server_scope(package, server, code),
            models=[{**names, "model.flavour": names["model.flavour"] or "custom"} for names in scopes],
            generated_code=generated,
            mount_path=package.values.get("mount_path"),
        )
    env_part = _contribution(env, shared) if env is not None else None
    if env is None and server_part.requirements:  # the packages of a server on a base alone need what is around wheels
        env_part = Contribution(path=[f"{VENV}/bin"], environment={"PYTHONUNBUFFERED": "1", "VIRTUAL_ENV": VENV})
    mode = package.values.get("mode") or "copy"
    placed = [
        Placed(model, place.directory, server_part.keep_folder, mode)
        for model, place in zip(models, server_part.model_places, strict=False)  # a server may have no place for models
    ]
    return PackageParts(
        package=package,
        base=base,
        env=env,
        server=server,
        models=models,
        inputs=inputs,
        placed=[*placed, *_placed_inputs(inputs, server_part, mode)],
        code=code,
        shared=others,
        groups={one.label: found for one in (*models, *inputs) if (found := _groups(resolution, [one]))},
        flavour=flavour,
        generated_code=generated,
        base_part=of_base(base, resolution, shared) if base is not None else Contribution(),
        env_part=env_part,
        server_part=server_part,
    )


def needs_foundation(package: ResolvedTarget) -> LoadError:
    """The error for a package that stands on nothing, and whose model does not say what it needs."""
    return LoadError(
        f"'{package.label}' needs 'base_env'",
        hint="an environment, or a base alone; only a package of one MLflow model may leave it out",
        position=package.target.position if package.target is not None else None,
    )


def _contribution(target: ResolvedTarget, shared: dict[Label, Contribution]) -> Contribution:
    found = shared.get(target.label)
    if found is None:
        found = shared[target.label] = contribute(target.rule, scope_of(target))
    return found


def of_base(target: ResolvedTarget, resolution: Resolution, shared: dict[Label, Contribution]) -> Contribution:
    """What a base and all below it contribute; the upper wins."""
    if target.label not in shared:
        lower = below(target, resolution)
        if lower is None:
            return _contribution(target, shared)
        own = contribute(target.rule, scope_of(target))
        under = of_base(lower, resolution, {} if lower.label == target.label else shared)
        shared[target.label] = replace(
            own,
            environment={**under.environment, **own.environment},
            path=[*own.path, *under.path],
            labels={**under.labels, **own.labels},
            user=own.user or under.user,
        )
    return shared[target.label]


def gpu_of(*targets: ResolvedTarget | None) -> str | None:
    """What the first of these that speaks of it is made for: "cuda", with a major version where it names one, as
    "cuda12"; None for no GPU.
    """
    for target in targets:
        said = target.values.get("gpu") if target is not None else None
        if said is not None:
            return None if said is False else f"cuda{said.get('cuda', '')}"
    return None


def check_packages(resolution: Resolution, disk: Disk, problems: Problems) -> dict[Label, PackageParts]:
    """Take every package apart whose targets all exist; errors are noted in `problems`."""
    found = {}
    shared: dict[Label, Contribution] = {}
    for label in resolution.labels("package"):
        try:
            found[label] = take_apart(resolution, label, disk, shared)
        except KeyError:
            continue  # a missing or wrong target is reported elsewhere
        except LoadError as error:
            problems.add_error(error, resolution.of(label).position_of("rule"))
    return found


def scope_of(target: ResolvedTarget) -> dict[str, Any]:
    """The names a target's own templates may use."""
    return {**target.values, "target.name": target.label.name, "target.package": target.label.package}


def _dep(resolution: Resolution, target: ResolvedTarget, attribute: str) -> ResolvedTarget | None:
    labels = target.deps.get(attribute)
    return resolution.of(labels[0]) if labels else None


def _deps(resolution: Resolution, target: ResolvedTarget, attribute: str) -> list[ResolvedTarget]:
    return [resolution.of(label) for label in target.deps.get(attribute) or ()]


def _code(
    resolution: Resolution, package: ResolvedTarget, env: ResolvedTarget | None
) -> tuple[ResolvedTarget | None, list[ResolvedTarget]]:
    """The code that the server starts, and all that comes with it: more code, then libraries. Raises LoadError."""
    named = _deps(resolution, package, "code")
    code = [target for target in named if target.provides == "code"]
    groups = [target for target in named if target.provides == "files"]
    groups += _groups(resolution, [*code, *groups])
    scripts = [target for target in code if target.values.get("entry_script") is not None]
    if len(scripts) > 1:
        raise package.error(
            "code",
            f"{scripts[0].label} and {scripts[1].label} both have an entry script, and a server starts one",
            "make what they share a target without `entry_script`, such as a python_library",
            named.index(scripts[1]),
        )
    main = next(iter((*scripts, *code)), None)
    libraries = code_libraries(resolution, package, env)
    shared = {target.label: target for target in (*code, *groups, *libraries) if target is not main}
    return main, list(shared.values())


def _groups(resolution: Resolution, targets: list[ResolvedTarget]) -> list[ResolvedTarget]:
    """The file groups among the `srcs` of these, and among theirs, each once."""
    named = [label for target in targets for label in target.deps.get("srcs") or ()]
    return list(resolution.closure(named, "srcs").values())


def _placed_inputs(inputs: list[ResolvedTarget], part: Contribution, mode: str) -> list[Placed]:
    """Where each input goes: its mount path, a relative one below the working directory."""
    placed = []
    for target in inputs:
        with target.errors_at("mount_path"):
            directory = mount_directory(target.values["mount_path"], part.working_dir)
        placed.append(Placed(target, directory, False, target.values.get("mode") or mode))
    return placed


def _server_scope(package: ResolvedTarget, server: ResolvedTarget, code: ResolvedTarget | None) -> dict[str, Any]:
    scope = scope_of(server)
    scope["package.name"] = package.label.name
    scope["package.package"] = package.label.package
    if code is not None:
        scope["code.name"] = code.name
        scope["code.entry_script"] = code.values.get("entry_script")
    return scope


def _model_scope(disk: Disk, model: ResolvedTarget) -> dict[str, Any]:
    """The names that belong to one model.

    `model.flavour` is None if it is not there to look at, `model.served_name`, by which a server knows it, if its
    folder holds several.
    """
    found = model_content(disk, model)
    names = found.arrangement.names if found.arrangement.kind == "repository" else (model.name,)
    return {
        "model.name": model.name,
        "model.version": model.version,
        "model.basename": found.basename,
        "model.flavour": found.flavour,
        "model.is_file": found.is_file,
        "model.arrangement": found.arrangement,
        "model.served_name": names[0] if len(names) == 1 else None,
    }
