"""The content that a step needs where it is run, and where the bytes of it are here."""

from functools import partial

from buildrules.engine.kind import BuildContext, Traits
from buildrules.engine.step import Step
from buildrules.oci.supply import NOWHERE, Fetch, Supply
from buildrules.remote.backend import Blob, Body, body_of


def portable(step: Step, traits: Traits) -> Step:
    """The step without what only this host has: places and sources of dependencies, and all places but those that the
    kind needs to be run."""
    places = {name: step.places[name] for name in traits.places if name in step.places}
    return step._replace(places=places, deps=[dep._replace(places=NOWHERE, sources=()) for dep in step.deps])


def needs_of(step: Step, traits: Traits, context: BuildContext, fetch: Fetch) -> dict[Blob, Body]:
    """All that the kind of `step` reads besides its files, and what opens it here. What the kind wants in the store is
    there already.

    Of a kind that opens layers these are their blobs, made by `oci.supply` while they are sent. Raises OSError,
    DamagedError.
    """
    blobs = context.blobs
    digests = {row["digest"] for row in traits.content(step)}
    found: dict[Blob, Body] = {}
    supply = Supply(context, step.origin_of(context.workspace), fetch)
    for outputs in step.outputs:
        layers = {layer.digest: layer for layer in outputs.layers}
        if traits.opens:
            found |= {Blob(layer.digest, layer.size): partial(supply, layer) for layer in layers.values()}
        digests.update(set(outputs.blobs.values()) - layers.keys())
    return found | {Blob(digest, blobs.size(digest)): body_of(blobs.open, digest) for digest in digests}
