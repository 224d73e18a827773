"""What packages and deployments have in common: a model, an environment, a server, code, inputs."""

import os
import shlex
from dataclasses import dataclass, field
from typing import Any

from buildrules.azureml.document import Document
from buildrules.azureml.inputs import Input
from buildrules.azureml.references import Named
from buildrules.azureml.table import Key, Map, Nested
from buildrules.azureml.values import route_path, text, whole
from buildrules.document.nodes import Node

_PROGRAMS = {".py": "python", ".sh": "sh"}
_SHELLS = {"sh": "dash", "dash": "dash", "bash": "bash"}  # and the Debian packages that hold them


class Code(Map):
    """`code_configuration`; `entry_script` is the documentation's older key."""

    code = Key(text, "code_id", needs="the folder of the scoring script")
    scoring_script = Key(text, "entry_script", needs="the file with init() and run(), relative to the code's folder")


class RouteKeys(Map):
    """Where a server answers."""

    path = Key(route_path, needs="the path of the address, such as /v1/models/m")
    port = Key(whole(1, 65535), needs="the port the server listens on")


class RoutesKeys(Map):
    """The three addresses of a server."""

    liveness_route = Key(Nested(RouteKeys))
    readiness_route = Key(Nested(RouteKeys))
    scoring_route = Key(Nested(RouteKeys))

    @property
    def routes(self) -> dict[str, tuple[int, str]]:
        """Name (liveness, readiness, scoring) to port and path, of those that are sound."""
        given = {
            "liveness": self.liveness_route, "readiness": self.readiness_route, "scoring": self.scoring_route,
        }  # fmt: skip
        return {name: (one.port, one.path) for name, one in given.items() if one and one.port and one.path}


@dataclass(slots=True)
class Specification:
    """One image to be. `server` is azureml_online, azureml_batch, triton or custom.

    `places` are where a file says some of it. `comments` say what was not carried over, and why. `target_environment`
    is (name, version or None, registry or None). `own_name` is one that no other file nearby has. `unsound` says that
    there is an environment that could not be read.
    """

    document: Document
    name: str
    places: dict[str, Node]
    own_name: str = ""
    server: str = "azureml_online"
    target_environment: tuple[str, str | None, str | None] | None = None
    environment: Named | None = None
    unsound: bool = False
    model: Named | None = None
    code: Code | None = None
    routes: dict[str, tuple[int, str]] | None = None
    entry_script: str | None = None
    mode: str | None = None
    mount_path: str | None = None
    inputs: list[Input] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    server_attributes: dict[str, Any] = field(default_factory=dict)
    deployment: bool = False
    comments: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        """The words of `entry_script`, which is a command or a script. Raises ValueError for an open quotation."""
        words = shlex.split(self.entry_script or "")
        program = _PROGRAMS.get(os.path.splitext(words[0])[1]) if words else None
        return [program, *words] if program is not None else words

    @property
    def shell(self) -> str | None:
        """The Debian package with the shell that the command is run by."""
        try:
            return _SHELLS.get(os.path.basename(next(iter(self.command), "")))
        except ValueError:
            return None

    def at(self, what: str = "name") -> Node:
        """Where a file says `what`; where it says the name, if it does not."""
        return self.places.get(what) or self.places["name"]
