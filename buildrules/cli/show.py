"""What `buildrules show` does once the package is built: say what the image is and what it was made from."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from buildrules import __version__
from buildrules.cli.content import Content, one_image
from buildrules.cli.harmless import in_lines
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import environment_of, size_text
from buildrules.engine.result import GoalResult
from buildrules.oci.config import PREFIX


def after(invocation: Invocation) -> int:
    """Print the description; returns the exit code."""
    found = description(invocation, one_image(invocation))
    if invocation.request.option("json"):
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write(in_lines(_lines(found)))
    return 0


def description(invocation: Invocation, result: GoalResult) -> dict[str, Any]:
    """Everything there is to say of a built image, as plain JSON types."""
    info = result.goal.info
    content = Content(invocation, result)
    config = content.image.settings.get("config") or {}
    index = next((item for item in invocation.results if item.goal.kind == "index"), None)
    variables = dict(item.split("=", 1) for item in config.get("Env") or ())
    labels = config.get("Labels") or {}
    return {
        "label": result.goal.label,
        "platform": result.goal.platform,
        "image": content.name(),
        "digest": result.digest,
        "index": None if index is None else {"digest": index.digest, "platforms": index.values["platforms"]},
        "size": result.size,
        "target_environment": environment_of(result),
        "build": invocation.log.to_dict(),
        "routes": dict(info["routes"]),
        "ports": list(info["ports"]),
        "job": info["job"],
        "gpu": info["gpu"],
        "entrypoint": config.get("Entrypoint") or [],
        "cmd": config.get("Cmd") or [],
        "working_dir": config.get("WorkingDir") or "/",
        "user": config.get("User") or "root",
        "environment": variables,
        "models": [dict(item) for item in info["models"]],
        "inputs": [dict(item) for item in info["inputs"]],
        "made_from": {name: info[name] for name in ("base", "python", "env", "server", "code")},
        "left_out": _left_out(invocation, result),
        "no_bytecode": info["no_bytecode"],
        "locks": dict(info["locks"]),
        "tags": dict(info["tags"]),
        "labels": {name: value for name, value in labels.items() if not name.startswith(PREFIX)},
        "layers": [
            {
                "digest": item.layer.digest,
                "diff_id": item.layer.diff_id,
                "size": item.layer.size,
                "origin": item.title,
                "target": target,
                "key": key,
            }
            for item, target, key in _made(invocation, result)
        ],
        "buildrules": __version__,
        "created": content.image.settings.get("created"),
    }


def _left_out(invocation: Invocation, result: GoalResult) -> list[str]:
    """What a standalone Python goes without, as globs of paths in its archive."""
    plan = invocation.plan
    below = (plan.actions[name] for name in plan.actions[result.goal.action].deps)
    return [glob for action in below if action.kind == "python_layer" for glob in action.params["drop"]]


def _made(invocation: Invocation, result: GoalResult) -> Iterator[tuple[Any, str, str]]:
    """Each layer with the target and the key of the action that made it."""
    plan, outcomes = invocation.plan, invocation.outcomes
    layers = iter(result.layers)
    for name in plan.actions[result.goal.action].deps:
        outputs = outcomes[name].outputs
        for _ in outputs.layers if outputs is not None else ():
            yield next(layers), plan.actions[name].target, outcomes[name].key


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['label']}  {found['platform']}"
    yield f"  image        {found['image']}  {size_text(found['size'])}, {len(found['layers'])} layers"
    yield f"  digest       {found['digest']}"
    if found["index"]:
        yield f"  index        {found['index']['digest']}  ({', '.join(found['index']['platforms'])})"
    environment = found["target_environment"]
    yield f"  environment  {environment['name']}:{environment['version']}"
    yield f"  build        {found['build']['id']}  {found['build']['state']}  {found['build']['log']}"
    made = ", ".join(f"{name} {value}" for name, value in found["made_from"].items() if value)
    yield f"  made from    {made}; buildrules {found['buildrules']}"
    if found["gpu"]:
        yield f"  made for     GPUs: {found['gpu']}"
    if found["no_bytecode"]:
        yield f"  no bytecode  {found['no_bytecode']}"
    yield f"  user         {found['user']}, in {found['working_dir']}"
    yield f"  command      {' '.join([*found['entrypoint'], *found['cmd']])}"
    for title, values in (
        ("routes", found["routes"]),
        ("variables", found["environment"]),
        ("locks", {path: digest[:19] for path, digest in found["locks"].items()}),
        ("tags", found["tags"]),
        ("labels", found["labels"]),
    ):
        if values:
            yield title
            width = max(map(len, values))
            yield from (f"  {name:<{width}}  {value}" for name, value in values.items())
    yield f"ports  {', '.join(map(str, found['ports'])) or 'none'}"
    if found["job"]:
        result = f" ({found['job']['result']})" if "result" in found["job"] else ""
        yield f"job    works on {found['job']['input']}, writes to {found['job']['output']}{result}"
    for title in ("models", "inputs"):
        if found[title]:
            yield title
        for item in found[title]:
            version = f", version {item['locked_version']}," if item["locked_version"] else ""
            place = f"{item['mode']} of {item['from']}{version} in {item['directory']}"
            yield f"  {item['name']}:{item['version']}  {item['label']}  {place}"
            if item["card"]:
                yield f"    {item['license'] or 'no licence named'}, see {item['card']}"
    if found["left_out"]:
        yield f"left out of Python  {', '.join(found['left_out'])}"
    yield "layers"
    for layer in found["layers"]:
        yield f"  {layer['digest'][7:19]}  {size_text(layer['size']):>9}  {layer['origin']}  ({layer['target']})"
