"""Looks whether the files a package names are there, before anything is resolved or built.

The positions and suggestions a person needs are at hand here; an action that finds nothing knows only globs.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildrules.actions.models.pointers import not_pulled
from buildrules.document.problems import Problems
from buildrules.errors import BuildrulesError, LoadError, Position
from buildrules.locking.placing import globbed, import_root, library_files
from buildrules.rules.package import PackageParts
from buildrules.rules.requests import files_named
from buildrules.rules.resolve import ResolvedTarget
from buildrules.rules.source_root import source_root
from buildrules.workspace.disk import SHAPE, Disk
from buildrules.workspace.globs import expand, selects
from buildrules.workspace.suggest import did_you_mean


@dataclass(slots=True)
class PathChecks:
    """Notes what is missing in `problems`."""

    disk: Disk
    problems: Problems
    _done: set[str] = field(default_factory=set)

    def package(self, parts: PackageParts) -> None:
        """Check the model, the code, the sample request and the extra files of a package."""
        for attribute in ("sample_request", "expected_response"):
            path = parts.package.values[attribute]
            there = self._exists(parts.package, attribute, path) and path is not None
            if there and parts.server_part.job is None and os.path.isdir(self.disk.path(path)):
                at = parts.package.position_of(attribute)
                self.problems.add(f"'{path}' is a folder", hint="name a file in it", position=at)
        if parts.env is not None:
            for attribute in ("requirements_file", "pyproject", "conda_file"):
                self._exists(parts.env, attribute, parts.env.values.get(attribute))
        for path in (parts.package.values["files"] or {}).values():
            self._exists(parts.package, "files", path)
        for target in (*parts.models, *parts.inputs):
            self._model(target)
        requires = parts.server.rule.file.requires
        if requires is not None and requires.file is not None:
            for model in parts.models:
                path, wanted = model.values["path"], requires.file
                if path is not None and not path.endswith(wanted.suffix):
                    wrong = f"'{path}' is not a {wanted.what}, which is what {parts.server.rule.reference} takes"
                    self.problems.add(wrong, hint=wanted.hint, position=model.position_of("path"))
        if parts.code is not None:
            self._code(parts.code, parts)
        for target in parts.shared:
            self._shared(target)

    def test(self, target: ResolvedTarget) -> None:
        """Check the files that a `package_test` target names."""
        for path, position in files_named(target):
            self.exists(path, position)

    def _exists(self, target: ResolvedTarget, attribute: str, path: str | None) -> bool:
        return path is None or self.exists(path, target.position_of(attribute))

    def exists(self, path: str, position: Position | None) -> bool:
        """Whether there is something at a workspace-relative path; noted at `position` where there is not."""
        if self.disk.exists(path):
            return True
        command = not_pulled(path, lambda other: os.path.exists(self.disk.path(other)))
        if command is not None:
            self.problems.add(f"there is no '{path}' yet: DVC keeps it", hint=f"run `{command}`", position=position)
            return False
        directory, name = os.path.split(path)
        try:
            there = sorted(os.listdir(self.disk.path(directory)))
        except OSError:
            there = []
        shown = f"'{directory}/'" if directory else "the workspace's root"
        if there:
            hint = did_you_mean(name, there, what=f"what is in {shown}", limit=8)
        else:
            hint = f"there is no directory {shown}"
        self.problems.add(f"there is no '{path}'", hint=hint, position=position)
        return False

    def _model(self, target: ResolvedTarget) -> None:
        if str(target.label) in self._done:
            return
        self._done.add(str(target.label))
        path = target.values["path"]
        if path is None or not self._exists(target, "path", path):
            return
        with contextlib.suppress(OSError):  # the action that packs it says why it cannot be read
            if os.path.isdir(self.disk.path(path)) and not os.listdir(self.disk.path(path)):
                hint = "put the model there, or name where it is"
                self.problems.add(f"the folder '{path}' is empty", hint=hint, position=target.position_of("path"))

    def _code(self, target: ResolvedTarget, parts: PackageParts) -> None:
        values = target.values
        try:
            directory, include, exclude = source_root(
                target.label.package, values["srcs"], values["exclude"], values["strip_prefix"]
            )
            if self._has_what_is_named(parts, directory, include, exclude):
                return
            files, _ = expand(self.disk.root, directory, include, exclude)
        except LoadError as error:
            self.problems.add_error(error, target.position_of("srcs"))
            return
        except BuildrulesError:
            return  # the action that packs the files says it better
        names = [name for _, name, _ in files]
        script = values["entry_script"]
        if not names:
            if include or not target.deps.get("srcs"):
                self._nothing(target, directory, include)
        elif script is not None and script not in names:
            hint = did_you_mean(script, names, what="the code's files", limit=8)
            self.problems.add(f"the code has no '{script}'", hint=hint, position=target.position_of("entry_script"))
        if script is not None:
            self.disk.note(SHAPE, f"{directory}/{script}".lstrip("/"))
        if names and parts.server_part.module is not None:
            self._module(parts, parts.server_part.module, directory, names)

    def _shared(self, target: ResolvedTarget) -> None:
        """Look whether the files of a library, or of more code, can be found and imported."""
        if str(target.label) in self._done:
            return
        self._done.add(str(target.label))
        try:
            source = library_files(target) if target.provides == "library" else globbed(target)
            root = import_root(target) if target.provides == "library" else None
            files, _ = expand(self.disk.root, source.directory, source.include, source.exclude)
        except LoadError as error:
            self.problems.add_error(error, target.position_of("srcs"))
            return
        except BuildrulesError:
            return  # the action that packs the files says it better
        if not files:
            if source.include or not target.deps.get("srcs"):
                self._nothing(target, source.directory, source.include)
        elif root == "" and any(name == "__init__.py" for _, name, _ in files):
            name = source.directory.rpartition("/")[2]
            self.problems.add(
                f"{target.label} has an '__init__.py' that belongs to no package",
                hint=f"write `import_as: {name if name.isidentifier() else 'NAME'}` if that is how it is imported",
                position=target.position_of("srcs"),
            )

    def _nothing(self, target: ResolvedTarget, directory: str, include: Iterable[str]) -> None:
        base = self.disk.path(directory)
        folder = next((src for src in include if os.path.isdir(os.path.join(base, src))), None)
        self.problems.add(
            f"no file matches the srcs of {target.label}",
            hint=f"globs are relative to '{target.label.package or '.'}/', where the BUILD.yaml is"
            if folder is None
            else f"'{folder}' is a folder; all files in it are '{folder}/**'",
            position=target.position_of("srcs"),
        )

    def _has_what_is_named(self, parts: PackageParts, directory: str, include: list[str], exclude: list[str]) -> bool:
        """Whether the code has the files that it is asked for by name, so that nobody need look at the others."""
        asked: list[tuple[str, ...]] = []
        if parts.code is not None and (script := parts.code.values["entry_script"]) is not None:
            asked.append((script,))
        if parts.server_part.module is not None:
            asked.append(_files_of(parts.server_part.module))
        return bool(asked) and all(
            any(
                selects(name, include, exclude) and self.disk.is_file(f"{directory}/{name}".lstrip("/")) for name in one
            )
            for one in asked
        )

    def _module(self, parts: PackageParts, said: str, directory: str, names: list[str]) -> None:
        """Look for the module of `said`, which is MODULE:OBJECT."""
        choices = _files_of(said)
        module = choices[0].removesuffix(".py")
        self.disk.note(SHAPE, *(f"{directory}/{name}".lstrip("/") for name in choices))
        if not any(name in names for name in choices):
            modules = [name.removesuffix(".py").replace("/", ".") for name in names if name.endswith(".py")]
            server = parts.server
            at = (server.position_of(name) for name in server.given if server.values.get(name) == said)
            self.problems.add(
                f"the code has no module '{module.replace('/', '.')}', in which the server looks for '{said}'",
                hint=self._other_module(parts.server, said, modules),
                position=next(at, None) or parts.package.position_of("server"),
            )

    @staticmethod
    def _other_module(server: ResolvedTarget, said: str, modules: list[str]) -> str | None:
        """Which module may be meant, and where it is said, if nobody has said it."""
        module, _, name = said.partition(":")
        found = did_you_mean(module, modules, what="the code's modules", limit=8)
        attribute = next((one for one in server.values if server.values[one] == said and one not in server.given), None)
        if attribute is None or not modules:
            return found
        value = f'{attribute}: "{modules[0]}:{name}"'
        way = f"say it on {server.label}, as `{value}`"
        if server.implicit:
            way = f"make `NAME: {{rule: {server.rule.reference}, {value}}}` a target, and write `server: :NAME`"
        return f"{found}; {way}" if found else way


def _files_of(said: str) -> tuple[str, str]:
    """Where the module of MODULE:OBJECT may be."""
    module = said.partition(":")[0].replace(".", "/")
    return f"{module}.py", f"{module}/__init__.py"
