"""What `buildrules size` does: describe an image, weigh it, and say what makes it large."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildrules.cli.console import Console
from buildrules.cli.harmless import in_lines
from buildrules.cli.images import Named, Opener, asked
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import size_text
from buildrules.contents.described import Described
from buildrules.contents.weight import Node, Weight, weigh

_SMALLEST = 0.01  # of the whole, that is told


def after(invocation: Invocation) -> int:
    """Weigh what was built; returns the exit code."""
    named, opened = asked(invocation)
    debian = dict(_debian(invocation, str(named[0].label)))
    return weigh_image(named, opened, invocation.request.options, invocation.console, debian)


def weigh_image(
    named: Sequence[Named],
    opened: Opener,
    options: Mapping[str, Any],
    console: Console,
    debian: Mapping[str, str] | None = None,
) -> int:
    """Weigh the first of some images, and say what makes it large; returns the exit code. `debian` is as of `weigh`."""
    with opened(named[0]) as image:
        found = weigh(image, debian or {})
    console.close()
    return _say(image, found, options)


def _debian(invocation: Invocation, label: str) -> Iterator[tuple[str, str]]:
    """Paths, and the Debian packages they are of, as far as the store still has these."""
    from buildrules.oci.parts.deb import DROP, read

    blobs = invocation.store.blobs
    results = [result for result in invocation.results if result.goal.label == label and result.goal.kind == "image"]
    actions = {item.action.id: item.action for result in results for item in result.layers}
    for action in actions.values():
        for name, version, sha256 in action.params["packages"] if action.kind == "debian_layers" else ():
            if blobs.has(f"sha256:{sha256}"):
                yield from (
                    (entry.path, f"{name} {version}") for entry in read(blobs.path(f"sha256:{sha256}"), DROP, name)
                )


def _say(image: Described, found: Weight, options: Mapping[str, Any]) -> int:
    if options.get("json"):
        value = {
            "name": image.name,
            "digest": image.digest,
            "stored": image.size,
            "size": found.size,
            "layers": [_plain(node) for node in found.layers],
            "suggestions": [one._asdict() for one in found.suggestions],
        }
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        sys.stdout.write(in_lines(_lines(image, found, verbose=bool(options.get("verbose")))))
    return 0


def _plain(node: Node) -> dict[str, Any]:
    stored = {} if node.stored is None else {"stored": node.stored}
    return {"name": node.name, "size": node.size, **stored, "parts": [_plain(part) for part in node.parts]}


def _lines(image: Described, found: Weight, *, verbose: bool) -> Iterator[str]:
    yield f"{image.name}  {size_text(image.size)} in {len(image.layers)} layers, {size_text(found.size)} unpacked"
    yield "  unpacked     stored"
    layers = sorted(found.layers, key=lambda node: -node.size)
    yield from _tree(layers, 0, 0 if verbose else found.size * _SMALLEST)
    ways = [one for one in found.suggestions if one.how]
    if ways:
        yield "could be left out"
    for one in ways:
        yield f"  {size_text(one.size):>9}  {one.what} ({one.files} files)"
        yield f"             {one.how}"
    rest = [f"{one.what} {size_text(one.size)}" for one in found.suggestions if not one.how]
    if rest:
        yield f"no setting leaves out: {', '.join(rest)}"


def _tree(nodes: Sequence[Node], depth: int, smallest: float) -> Iterator[str]:
    large = [node for node in nodes if node.size >= smallest]
    for node in large:
        stored = "" if node.stored is None else size_text(node.stored)
        yield f"  {size_text(node.size):>9}  {stored:>9}  {'  ' * depth}{node.name}"
        yield from _tree(node.parts, depth + 1, smallest)
    rest = sum(node.size for node in nodes) - sum(node.size for node in large)
    if rest and large:
        yield f"  {size_text(rest):>9}  {'':>9}  {'  ' * depth}{len(nodes) - len(large)} smaller"
