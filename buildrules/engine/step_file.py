"""A step in a file: JSON that another process can run. `docs/reference/steps.md` describes it."""

import json
import os

from buildrules.engine.step import Step
from buildrules.errors import StoreError, UsageError
from buildrules.typed import Any, NamedTuple


class StepFile(NamedTuple):
    """A step, and what of its workspace it takes to run it: rows of connections, names of plugins."""

    step: Step
    connections: list[dict[str, Any]]
    plugins: list[str]

    def text(self) -> str:
        """The text of the file."""
        value = {"step": self.step.to_dict(), "connections": self.connections, "plugins": self.plugins}
        return json.dumps(value, indent=1) + "\n"

    def write(self, folder: str, name: str) -> None:
        """Write it below a folder, which is made. Raises StoreError where that cannot be."""
        try:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(self.text())
        except OSError as error:
            raise StoreError(f"cannot write to {folder!r}: {(error.strerror or str(error)).lower()}") from error

    @classmethod
    def read(cls, path: str) -> "StepFile":
        """Read what somebody wrote. Raises UsageError for anything that is no step."""
        try:
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
            return cls._of(data)
        except UnicodeDecodeError as error:
            reason = f"it is not UTF-8: {error.reason}"
        except ValueError as error:
            reason = f"it is not JSON: {error}"
        except RecursionError:
            reason = "it is nested too deeply"
        except OSError as error:
            reason = f"it cannot be read: {(error.strerror or str(error)).lower()}"
        except UsageError as error:
            reason = error.message
        raise UsageError(
            f"{path!r} is not a step: {reason}", hint="'buildrules build --steps DIR' writes files that are"
        )

    @classmethod
    def _of(cls, data: Any) -> "StepFile":
        if not isinstance(data, dict):
            raise UsageError("it is not a JSON object")
        step, connections, plugins = data.get("step"), data.get("connections"), data.get("plugins")
        if not isinstance(step, dict):
            raise UsageError("it has no object 'step'")
        if not isinstance(connections, list) or not all(isinstance(one, dict) for one in connections):
            raise UsageError("it has no list 'connections' of objects")
        if not isinstance(plugins, list) or not all(isinstance(one, str) for one in plugins):
            raise UsageError("it has no list 'plugins' of names")
        return cls(Step.from_dict(step), connections, plugins)
