"""The packages that were started by `run` and are still there, running or not: containers with a label of ours."""

import json
from dataclasses import dataclass
from typing import Any

from buildrules.oci.docker_http import Engine
from buildrules.serving import leftover
from buildrules.serving.given import HOST, LABEL

WORKSPACE = "buildrules.workspace"
"""Label of a container: the root of the workspace that its package belongs to."""


@dataclass(frozen=True, slots=True)
class Started:
    """One of them. `name` is the container's, `label` the package's, `workspace` its root ("" where nobody says).

    `status` is the engine's word for it, as "Up 3 minutes". `ports` maps ports of the container to those of this
    machine; None where it has this machine's own.
    """

    name: str
    label: str
    workspace: str
    running: bool
    status: str
    ports: dict[int, int] | None


def started(engine: Engine) -> list[Started]:
    """All there are in the engine, the oldest first; containers of tests are none. Raises DockerError."""
    filters = json.dumps({"label": [LABEL]})
    found: list[dict[str, Any]] = engine.call("GET", "/containers/json", query={"all": 1, "filters": filters}) or []
    return [
        _started(item)
        for item in sorted(found, key=lambda item: (item["Created"], item["Names"]))
        if leftover.LABEL not in item["Labels"]
    ]


def _started(item: dict[str, Any]) -> Started:
    ports = {one["PrivatePort"]: one["PublicPort"] for one in item.get("Ports") or () if one.get("PublicPort")}
    network = (item.get("HostConfig") or {}).get("NetworkMode")
    return Started(
        name=next(iter(item.get("Names") or ()), item["Id"][:12]).lstrip("/"),
        label=item["Labels"][LABEL],
        workspace=item["Labels"].get(WORKSPACE, ""),
        running=item["State"] == "running",
        status=item["Status"],
        ports=None if network == HOST else dict(sorted(ports.items())),
    )
