"""Environments of MLflow models: those a package has without naming one, and those a python_env takes from a model."""

from dataclasses import dataclass, field, replace

from buildrules.actions.models.mlflow_files import ModelFiles, Said, read_model_files
from buildrules.actions.python.target import minor_of
from buildrules.engine.events import Notice, Stream
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase
from buildrules.locking.models.locks import ModelLocks
from buildrules.locking.python.collector import Requirements
from buildrules.locking.python.mlflow import ModelEnvironment, check_python, collect_model
from buildrules.locking.python.requirements import collect_target, is_conda
from buildrules.rules.contribution import contribute
from buildrules.rules.package import PackageParts, scope_of
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.workspace.labels import Label

_OURS = ("debian_base", "python_standalone")  # bases that have nothing in them but what we know


@dataclass(slots=True)
class ModelEnvironments:
    """Makes environments of models' files, and says once where these disagree."""

    keeper: LockKeeper
    resolution: Resolution
    models: ModelLocks
    stream: Stream
    _done: dict[str, ModelEnvironment] = field(default_factory=dict)
    _bases: dict[Label, LockedBase] = field(default_factory=dict)

    def completed(self, parts: PackageParts, base: LockedBase) -> PackageParts:
        """`parts` with the environment of its MLflow model, where it stands on a base with Python and names none.

        A server that adds nothing to an image of somebody's is taken to have all it needs in there.
        Raises LoadError where one model would get environments for two versions of Python.
        """
        ready = base.target.rule.implementation not in _OURS and not parts.server_part.requirements
        if parts.env is not None or base.python is None or parts.flavour != "mlflow" or ready or len(parts.models) != 1:
            return parts
        (model,) = parts.models
        self._check_bases(model, base)
        env = self.implied(model, base)
        return replace(parts, env=env, env_part=contribute(env.rule, scope_of(env)))

    def _check_bases(self, model: ResolvedTarget, base: LockedBase) -> None:
        other = self._bases.setdefault(model.label, base)
        if (other.python, other.glibc) != (base.python, base.glibc):
            raise model.error(
                "rule",
                f"the environment of {model.label} is asked for on two bases: {other.target.label} with Python"
                f" {other.python}, {base.target.label} with Python {base.python}",
                f"make a python_env for each, with `model: {model.label}`, and name them in base_env",
            )

    def implied(self, model: ResolvedTarget, base: LockedBase | None = None) -> ResolvedTarget:
        """A python_env that nobody wrote. It has the model's label, so that its lock lies beside the model's."""
        named = {"model": model.label, **({"base": base.target.label} if base is not None else {})}
        env = self.resolution.unwritten("python_env", model.label, named, model.target)
        return replace(env, deps={name: [label] for name, label in named.items()})

    def python_of(self, env: ResolvedTarget) -> Said | None:
        """The Python that the model of `env` was made with, as its files have it. Raises LoadError."""
        return self._of(env).python

    def collect(self, env: ResolvedTarget) -> Requirements:
        """What `env`, whose `model` is an MLflow model, asks for: its own word, then its model's. Raises LoadError."""
        if is_conda(env):
            return self._conda(env)
        own = collect_target(self.keeper.root, env, self.keeper.session.connections)
        found = self._of(env, frozenset(item.name for item in own.items))
        asked = found.requirements
        own.items += asked.items
        own.constraints += asked.constraints
        own.prerelease |= asked.prerelease
        # A model from elsewhere has a lock, which is watched.
        here = self.resolution.of(env.deps["model"][0]).values["path"] is not None
        watched = (*asked.files, *(found.watched if here else ()))
        own.files += [path for path in watched if path not in own.files]
        return own

    def _conda(self, env: ResolvedTarget) -> Requirements:
        """What `env` asks for itself, and its model's conda file of conda's solver."""
        model = self.resolution.of(env.deps["model"][0])
        files = self._files(model, env)
        path, texts = files.path(files.marked.conda), {files.path(name): text for name, text in files.texts.items()}
        if env.values["conda_file"] is not None or path not in texts:
            wrong = f"its model has a conda file, and {env.values['conda_file']!r} is one"
            wrong = wrong if path in texts else f"the model {model.label} has no {files.marked.conda}"
            raise env.error("model", f"{env.label}: {wrong}", "conda's solver takes one conda file")
        own = collect_target(self.keeper.root, env, self.keeper.session.connections, conda_file=path, texts=texts)
        watched = files.watched if model.values["path"] is not None else [path]
        own.files = [name for name in own.files if name not in watched]
        own.files += files.watched if model.values["path"] is not None else ()
        return own

    def check_python(self, env: ResolvedTarget, python: str) -> None:
        """Raise ResolutionError where the model of `env` was made with another Python than the base's."""
        if not env.deps.get("model"):
            return
        model = env.deps["model"][0]
        minor = minor_of(python)
        if env.label == model:
            env_text = f'{{rule: python_env, base: "{env.deps["base"][0]}", model: "{model}", python: "{minor}"}}'
            way_out = f"take the risk with a target of its own in base_env: {env_text}"
        else:
            way_out = f'write python: "{minor}" on {env.label} to take the risk'
        check_python(self._of(env).python, python, env.values["python"], way_out)

    def _of(self, env: ResolvedTarget, without: frozenset[str] = frozenset()) -> ModelEnvironment:
        key = str(env.label)
        if key not in self._done:
            model = self.resolution.of(env.deps["model"][0])
            with env.errors_at("model"):
                found = collect_model(
                    self.keeper.root,
                    self._files(model, env),
                    asker=f"the model {model.label}",
                    exclude=env.values["exclude"],
                    without=without,
                    connections=self.keeper.session.connections,
                )
            self._done[key] = found
            for item in found.disagreements:
                self.stream.emit(Notice(str(item), warning=True))
        return self._done[key]

    def _files(self, model: ResolvedTarget, env: ResolvedTarget) -> ModelFiles:
        if model.values["srcs"] is not None:
            wrong = f"the environment of {model.label} cannot be read: its files are not in one folder"
            raise env.error("model", wrong, "give the model by `path` or `uri`, or name a python_env in base_env")
        shown = model.values["path"] if model.values["uri"] is None else str(model.label)
        return read_model_files(shown or "", lambda name: self.models.text(model, name))
