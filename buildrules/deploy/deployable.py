"""What a platform's templates may say of a built package, from its image's own settings and labels.

The names are those of `rules.platform`.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from buildrules.credentials.connections import SECRETS, Connections
from buildrules.engine.plan import Plan
from buildrules.engine.result import GoalResult
from buildrules.oci.config import PREFIX, parse_port
from buildrules.rules.platform import SINGLE
from buildrules.rules.types import ROUTE_NAMES
from buildrules.serving.route import Route
from buildrules.start.huggingface import TOKEN

CPU = 1.0
MEMORY_MIB = 2048
"""What a package without `resources` is given; a large model gets more memory."""
_LOAD = 2  # how often a model lies in memory while it is loaded
_MODELS = ("model_layers", "fetched_model")


def deployable(
    plan: Plan, connections: Connections, result: GoalResult, config: Mapping[str, Any], longest_name: int
) -> dict[str, Any]:
    """The names of a package, but for those of where its image lies, and for published ports.

    `result` is its image, `config` that one's `config` object. A name without value is None; `resources.default` says
    whether cpu or memory is a default.
    """
    labels = config.get("Labels") or {}
    routes = {name: Route.parse(text) for name, text in _json(labels, "routes").items()}
    for name, other in (("readiness", "liveness"), ("liveness", "readiness")):
        if other in routes:
            routes.setdefault(name, routes[other])
    main = routes.get("scoring") or routes.get("readiness")
    ports = _ports(config.get("ExposedPorts") or {}, [route.port for route in routes.values()])
    port = main.port if main else next(iter(ports), None)
    name = platform_name(result.goal.label.removeprefix("//").replace(":", "/"), longest_name)
    lists: dict[str, Any] = {
        route: [{"path": found.path, "port": found.port}] if (found := routes.get(route)) else []
        for route in ROUTE_NAMES
    }
    resources = _json(labels, "resources")
    gpus = resources.get("gpu", 1 if f"{PREFIX}gpu" in labels else 0)
    lists["gpu"] = [{"count": gpus}] if gpus else []
    ready = routes.get("readiness")
    lists["check"] = [{"command": _check(ready)}] if ready and result.goal.info["python"] else []
    lists["ports"] = [
        {
            "number": number,
            "name": "http" if number == port else f"port-{number}",
            "protocol": protocol.upper(),
            "transport": protocol,
        }
        for number, protocol in sorted(ports.items(), key=lambda item: (item[0] != port, item[0]))
    ]
    lists["secrets"] = _secrets(plan, connections, result, name, longest_name)
    mib = memory_mib(resources["memory"]) if "memory" in resources else memory_for(_models(plan, result))
    job = result.goal.info["job"] or {}
    user = str(config.get("User") or "").partition(":")[0]
    return {
        "name": name,
        "label": result.goal.label,
        "port": port,
        "cpu": f"{float(resources.get('cpu', CPU))}".removesuffix(".0"),
        "memory": f"{mib // 1024}Gi" if mib % 1024 == 0 else f"{mib}Mi",
        "memory_mib": mib,
        "nonroot": True if user.isdigit() and int(user) else None,
        "job.input": job.get("input"),
        "job.output": job.get("output"),
        "resources.default": not {"cpu", "memory"} <= resources.keys(),
        **lists,
        **{f"{key}.{field}": value for key in SINGLE for one in lists[key] for field, value in one.items()},
    }


def platform_name(text: str, longest: int) -> str:
    """A name of a platform as near to `text` as may be: letters, digits and `-`, begun with a letter (RFC 1035)."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"model-{name}".rstrip("-")
    if len(name) <= longest:
        return name
    return f"{name[: longest - 7].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def memory_mib(text: str) -> int:
    """`512Mi`, `2Gi` in mebibytes."""
    return int(text[:-2]) * (1024 if text.endswith("Gi") else 1)


def _json(labels: Mapping[str, str], name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(labels.get(PREFIX + name) or "{}")
    return found


def _ports(exposed: Iterable[str], routed: Iterable[int]) -> dict[int, str]:
    found = dict.fromkeys(routed, "tcp")
    for text in exposed:
        number, _, protocol = parse_port(text).partition("/")
        found.setdefault(int(number), protocol)
    return found


def _models(plan: Plan, result: GoalResult) -> int:
    """Bytes of the models in the image, and of those that it fetches, as far as a lock says how large they are."""
    inside = sum(item.layer.size for item in result.layers if item.action.kind in _MODELS)
    rows = (row for one in _downloads(plan, result) for row in one["files"] or ())
    return inside + sum(int(row["size"]) for row in rows)


def _downloads(plan: Plan, result: GoalResult) -> Iterator[Mapping[str, Any]]:
    """What is fetched at start."""
    for dependency in plan.actions[result.goal.action].deps:
        action = plan.actions[dependency]
        if action.kind == "start_layers":
            yield from action.params["downloads"]


def memory_for(size: int) -> int:
    """Mebibytes for a package that says nothing: those for the server, and for `size` bytes of models being loaded."""
    return max(MEMORY_MIB, math.ceil(1 + _LOAD * size / 2**30) * 1024)


def _check(ready: Route) -> list[str]:
    url = f"http://127.0.0.1:{ready.port}{ready.path}"
    return ["python3", "-c", f"import urllib.request; urllib.request.urlopen({url!r}, timeout=8)"]


def _secrets(plan: Plan, connections: Connections, result: GoalResult, name: str, longest: int) -> list[dict[str, Any]]:
    """The variables that downloads at start take credentials from, with the connections that they belong to."""
    sources = [one["source"] for one in _downloads(plan, result)]
    said = [one.get("credentials") or ({"token": TOKEN} if one.get("restricted") else {}) for one in sources]
    variables = {value for one in said for value in one.values() if not value.startswith("=")}
    owners = {
        variable: (connection.name, field)
        for connection in connections
        for field in (SECRETS.get(connection.kind, ""), "session_token")
        if connection.parts.get(field)
        for variable in [connection.variable(field)]
    }
    found = []
    for variable in sorted(variables):
        connection, field = owners.get(variable, (name, variable))
        found.append(
            {
                "variable": variable,
                "connection": connection,
                "secret": platform_name(connection, longest),
                "credential": field,
            }
        )
    return found
