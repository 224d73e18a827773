"""What `buildrules layers` does once the packages are built: say which layers they share, and what that spares."""

import json
import sys
from collections.abc import Iterator

from buildrules.cli.harmless import in_lines
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import size_text
from buildrules.cli.shared_layers import Held, SharedLayers, Used
from buildrules.cli.would_send import would_send
from buildrules.engine.result import GoalResult, LayerResult
from buildrules.errors import UsageError

_MOST = 20  # layers, unless all are asked for
_NAMED = 3  # images that are named


def after(invocation: Invocation) -> int:
    """Print the layers; returns the exit code."""
    images = [result for result in invocation.results if result.goal.kind == "image"]
    if not images:
        names = " ".join(invocation.request.patterns)
        raise UsageError(f"'{names}' names no image", hint="name model_package targets")
    found = SharedLayers({_name(result): [_held(item) for item in result.layers] for result in images})
    sending = would_send(invocation)
    invocation.console.close()
    if invocation.request.option("json"):
        value = {**_plain(found), "push": None if sending is None else sending._asdict()}
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        lines = list(_lines(found, None if invocation.request.option("verbose") else _MOST))
        if sending is not None:
            how = "as it says now" if sending.asked else "as far as is known of earlier pushes from here"
            lines.append(f"push      {size_text(sending.bytes)} to send to {sending.registry}, {how}")
        sys.stdout.write(in_lines(lines))
    return 0


def _name(result: GoalResult) -> str:
    return f"{result.goal.label} {result.goal.platform}"


def _held(item: LayerResult) -> Held:
    """A layer with the wheels, or conda packages, that its action put into it. A wheel that is made here has a layer of
    its own."""
    sizes = item.action.places.get("sizes") or {}
    field = {"wheel_layer": "wheels", "conda_layer": "packages"}.get(item.action.kind)
    wheels = [(row[0], row[1]) for row in item.action.params[field]] if field else ()
    return Held(
        item.layer.digest,
        item.layer.size,
        item.title,
        {sha256: sizes.get(filename) or 0 for filename, sha256 in wheels},
    )


def _plain(found: SharedLayers) -> dict[str, object]:
    return {
        "images": found.images,
        "layers": [
            {
                "digest": used.layer.digest,
                "size": used.layer.size,
                "origin": used.layer.title,
                "wheels": len(used.layer.wheels),
                "images": used.images,
            }
            for used in found.rows
        ],
        "bytes_stored": found.stored,
        "bytes_unshared": found.unshared,
        "bytes_with_a_layer_for_each_wheel": found.apart,
        "ratio": round(found.ratio, 4),
    }


def _lines(found: SharedLayers, most: int | None) -> Iterator[str]:
    rows = found.rows
    width = len(str(found.images))
    for used in rows[:most]:
        layer = used.layer
        wheels = f", {len(layer.wheels)} wheels" if len(layer.wheels) > 1 else ""
        yield (
            f"  {layer.digest[7:19]}  {size_text(layer.size):>9}  in {len(used.images):>{width}}{_whose(used, found)}"
            f"  {layer.title}{wheels}"
        )
    if rest := rows[most:] if most else []:
        size = size_text(sum(used.layer.size for used in rest))
        yield f"  and {len(rest)} more, {size}; --verbose shows all"
    shared = sum(len(used.images) > 1 for used in rows)
    yield f"{found.images} image{'s' * (found.images != 1)}, {len(rows)} layers, {shared} of them in several images"
    yield f"stored    {size_text(found.stored)}, each layer once; {size_text(found.unshared)} if nothing were shared"
    yield f"compared  {found.ratio:.2f} x the {size_text(found.apart)} that a layer for each wheel would take"


def _whose(used: Used, found: SharedLayers) -> str:
    """Which images have a layer, where that is neither all of them nor many."""
    if len(used.images) > _NAMED or len(used.images) == found.images > 1:
        return ""
    return f", {' '.join(name.partition(' ')[0] for name in used.images)}"
