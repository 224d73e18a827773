"""What packages and deployments have in common: a model, an environment, a server, code, inputs."""

from dataclasses import dataclass, field
from typing import Any

from buildrules.azureml.document import Document
from buildrules.azureml.references import Named
from buildrules.azureml.table import Key, LeftOut, Map, Nested
from buildrules.azureml.values import route_path, text, whole
from buildrules.document.nodes import Node

__all__ = ["READ_ONLY", "Code", "Input", "RoutesKeys", "Specification"]

READ_ONLY = LeftOut(
    "", "id", "resource_group", "location", "kind", "sku", "identity", "etag", "provisioning_state",
    "creation_context", "system_data", "system_metadata", "utc_time_created", "latest_version", "is_archived",
    "is_anonymous", "intellectual_property", "base_path", "origin", suggested=False,
)  # fmt: skip
"""What the service and its tools add to what they print, of any kind of asset or deployment."""


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
class Input:
    """An extra input of a package: a file or folder. `mode` is copy or download, `said` the word of the file."""

    source: Named
    folder: bool
    mode: str | None
    said: str | None
    mount_path: str | None


@dataclass(slots=True)
class Specification:
    """One image to be. `server` is azureml_online, azureml_batch, triton or custom.

    `places` are where a file says some of it. `comments` say what was not carried over, and why. `target_environment`
    is (name, version or None). `unsound` says that there is an environment that could not be read.
    """

    document: Document
    name: str
    places: dict[str, Node]
    server: str = "azureml_online"
    target_environment: tuple[str, str | None] | None = None
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

    def at(self, what: str = "name") -> Node:
        """Where a file says `what`; where it says the name, if it does not."""
        return self.places.get(what) or self.places["name"]
