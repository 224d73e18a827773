"""The base of what names none: the Python that its files ask for, on a base that nobody wrote.

All environments of a workspace that ask for one minor version stand on one base, whose lock lies at the workspace's
root, so their images share its layers.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from buildrules.actions.python.target import number_of
from buildrules.authoring.release import STANDALONE, python_for
from buildrules.errors import LoadError, Position
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.python.conda import specifier_of
from buildrules.locking.python.models import ModelEnvironments
from buildrules.locking.python.requirements import collect_target, is_conda
from buildrules.rules.package import PackageParts, of_base
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.workspace.labels import Label


@dataclass(frozen=True, slots=True)
class _Asked:
    """A specifier of Python (PEP 440; "" for any), who asks, in words, where, and the way out where there is none."""

    specifier: str = ""
    words: str = ""
    position: Position | None = None
    way_out: str = ""
    free_threaded: bool = False


@dataclass(slots=True)
class OpenBases:
    """Chooses the bases of one workspace that are left open. `said` has the reasons, by who left it open."""

    keeper: LockKeeper
    resolution: Resolution
    models: ModelEnvironments
    suite: str | None
    said: dict[Label, str] = field(default_factory=dict)
    _chosen: dict[str, ResolvedTarget] = field(default_factory=dict)

    def of_environment(self, env: ResolvedTarget) -> ResolvedTarget:
        """The base of `env`, which names none. Raises LoadError where there is no such Python."""
        if is_conda(env):  # whose Python is its own
            return self._made(env, "system@conda", "debian_base", python=False)
        return self._choose(env, self._asked(env))

    def completed(self, parts: PackageParts) -> PackageParts:
        """`parts` with a base, where they have none. Raises LoadError where there is no such Python."""
        if parts.base is not None:
            return parts
        if parts.env is not None:
            base = self.of_environment(parts.env)
        else:  # only what serves an MLflow model may leave out both
            (model,) = parts.models
            base = self._choose(model, self._asked_by_model(self.models.implied(model)))
        return replace(parts, base=base, base_part=of_base(base, self.resolution, {}))

    def _asked(self, env: ResolvedTarget) -> _Asked:
        """What an environment asks for: in its own words, else in those of its files."""
        if (said := env.values["python"]) is not None:
            with env.errors_at("python"):
                specifier = specifier_of(said)
            words, place = f"it asks for {said}", env.position_of("python")
            return _Asked(specifier, words, place, "name a base that has it", number_of(said)[1])
        pin = collect_target(self.keeper.root, env, self.keeper.session.connections).python
        if pin is not None and pin.specifier:
            way_out = f'override {pin.asker}: write `python: "..."` on {env.label}'
            words = f"{pin.asker} asks for {pin.version}"
            return _Asked(pin.specifier, words, pin.position, way_out, pin.free_threaded)
        return self._asked_by_model(env) if env.deps.get("model") else _Asked()

    def _asked_by_model(self, env: ResolvedTarget) -> _Asked:
        said = self.models.python_of(env)
        if said is None:
            return _Asked()
        minor = ".".join(said.text.lstrip("= ").split(".")[:2])
        model = env.deps["model"][0]
        way_out = f'override it with a python_env: {{rule: python_env, model: "{model}", python: "..."}}'
        return _Asked(f"=={minor}.*", f"the model was made with {said.text}", said.position, way_out)

    def _choose(self, asker: ResolvedTarget, asked: _Asked) -> ResolvedTarget:
        try:
            found = python_for(asked.specifier, self.suite)
        except ValueError:  # whatever it is that a file asks for
            found = None
        if asked.free_threaded and found is not None:  # Debian has none
            found = f"{found if isinstance(found, str) else found.minor}t"
        if found is None:
            raise LoadError(
                f"{asker.label}: {asked.words}, and there is no such Python: the oldest is {STANDALONE[0]}, the newest"
                f" {STANDALONE[-1]}",
                hint=asked.way_out,
                position=asked.position,
            )
        if isinstance(found, str):
            base = self._made(asker, f"python@{found}", "python_standalone", version=found)
        else:
            base = self._made(asker, f"python@{found.minor}", "debian_base", suite=found.suite)
        if asker.label in self.keeper.named:  # nobody can name it
            self.keeper.named.add(base.label)
        self.said[asker.label] = asked.words or "nothing asks for another"
        return base

    def _made(self, asker: ResolvedTarget, name: str, rule_name: str, **said: Any) -> ResolvedTarget:
        """The target that nobody wrote. An @ is in its name, which no target of a BUILD.yaml can have."""
        if name not in self._chosen:
            self._chosen[name] = self.resolution.unwritten(rule_name, Label("", name), said, asker.target)
        return self._chosen[name]
