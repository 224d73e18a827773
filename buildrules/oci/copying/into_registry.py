"""Parcels into registries: what they come to as shipments, and what of a bundle has to be there already."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from buildrules.errors import UsageError
from buildrules.net.session import Fetching, Session
from buildrules.oci.blob import BlobSource, checked
from buildrules.oci.copying.graph import read_graph
from buildrules.oci.copying.into_layout import lacking
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.copying.resumed import read_blob
from buildrules.oci.names import HOST, split_name
from buildrules.oci.push.plan import Mount, PushPlan, Send, make_plan
from buildrules.oci.push.shipment import PushBlob, PushManifest, Shipment
from buildrules.oci.reference import REGISTRY, Reference, parse_reference
from buildrules.oci.registries import Registries
from buildrules.oci.registry import Registry


def places(to: str, names: Sequence[str]) -> list[Reference]:
    """Where images of these names go below `to`, HOST[/REPO]: their own registry makes way, path and tag stay.

    A `to` with a tag, HOST/REPO:TAG, is the place of one image. Raises UsageError.
    """
    host, _, prefix = to.rstrip("/").partition("/")
    if not HOST.fullmatch(host):
        raise UsageError(f"{to!r} does not begin with the host of a registry", hint="write HOST[/REPO]")
    if ":" in prefix or "@" in prefix:
        if len(names) > 1:
            raise UsageError(f"'{to}' is the place of one image, and there are {len(names)}", hint="leave out the tag")
        return [parse_reference(to)]
    found = []
    for name in names:
        _, path, tag = split_name(name)
        found.append(parse_reference("/".join(filter(None, (host, prefix, path))) + f":{tag}"))
    return found


def parcel_shipment(parcel: ImageParcel, place: Reference, session: Session, sources: Sequence[str] = ()) -> Shipment:
    """A parcel on its way to `place`; `sources` are repositories, `host/name`, that may have its blobs.

    Raises UsageError where `place` is no registry or names another digest, CredentialsError.
    """
    root = parcel.graph.root.digest
    if place.transport != REGISTRY:
        raise UsageError(f"'{place}' is no registry", hint="write HOST/REPOSITORY:TAG")
    if place.digest not in (None, root):
        raise UsageError(f"'{place}' names another digest than {root}", hint="leave it out: it follows from the image")
    blobs = []
    for digest in parcel.graph.blobs:
        blob = parcel.blob(digest)
        blobs.append(PushBlob(digest, blob.size, blob.open, sources=sources))
    return Shipment(
        session.own(Registries).of(place.host, place.name),
        [PushManifest(*document) for document in parcel.graph.documents],
        blobs,
        [place.tag] if place.tag else [],
        parcel.name,
    )


def plan_bundle(
    parcels: Sequence[ImageParcel], expected: Mapping[str, int], chosen: Sequence[Reference], context: Fetching
) -> PushPlan:
    """The plan for the images of a bundle, which leaves out what is `expected` to be there: sizes by digest.

    Raises IntegrityError where it is not in the repositories that the images go to, UsageError, RegistryError.
    """
    registries = _registries(chosen, context.session)
    elsewhere = _Elsewhere(registries)
    sources = [str(registry) for registry in registries]
    shipments = []
    for parcel, place in zip(parcels, chosen, strict=True):
        one = parcel_shipment(parcel, place, context.session, sources)
        blobs = [
            blob._replace(open=partial(elsewhere.read, blob)) if blob.digest in expected else blob for blob in one.blobs
        ]
        shipments.append(one._replace(blobs=blobs))
    plan = make_plan(shipments, context)
    sends = [send for send in plan.sends if send.blob.digest in expected]
    there = {send.blob.digest: holder for send in sends if (holder := elsewhere.place(send.blob)) is not None}
    lacking(f"the registry {chosen[0].host}", {send.blob.digest for send in sends} - there.keys())
    moves: list[Send | Mount] = [*sends, *(mount for mount in plan.mounts if mount.blob.digest in there)]
    plan.sends = [send for send in plan.sends if send.blob.digest not in there]
    plan.mounts = [mount for mount in plan.mounts if mount.blob.digest not in there]
    for move in moves:
        holder = there[move.blob.digest]
        if str(holder) == str(move.standing):
            move.standing.blobs.add(move.blob.digest)
        else:
            plan.mounts.append(Mount(move.standing, move.blob, holder.repository))
    return plan


def registry_sizes(chosen: Sequence[Reference], session: Session) -> dict[str, int]:
    """All that the tags of these repositories consist of: sizes by digest. Raises RegistryError."""
    found: dict[str, int] = {}
    for registry in _registries(chosen, session):
        for tag in registry.tags():
            with contextlib.suppress(UsageError):  # of another kind than images
                graph = read_graph(tag, partial(_manifest, registry), f"{registry}:{tag}")
                found |= graph.blobs
                found |= {document.digest: len(document.data) for document in graph.documents}
    return found


def _registries(chosen: Sequence[Reference], session: Session) -> list[Registry]:
    """The repositories of these places, each once."""
    own = session.own(Registries)
    return [own.of(*place) for place in dict.fromkeys((place.host, place.name) for place in chosen)]


def _manifest(registry: Registry, name: str) -> tuple[str, bytes]:
    found = registry.manifest(name)
    return found.media_type, found.data


class _Elsewhere:
    """Blobs that the repositories of a registry have."""

    def __init__(self, registries: Sequence[Registry]) -> None:
        self._registries = registries

    def place(self, blob: PushBlob) -> Registry | None:
        """The first repository that has the blob. Raises RegistryError."""
        return next((one for one in self._registries if one.blob_size(blob.digest) == blob.size), None)

    def read(self, blob: PushBlob) -> Iterator[bytes]:
        """The bytes of the blob, from a repository that has it: some registries mount nothing in another.

        Raises IntegrityError where none has it, RegistryError.
        """
        place = self.place(blob)
        if place is None:
            lacking("the registry", {blob.digest})
        assert place is not None
        plain = BlobSource(blob.digest, blob.size, tuple)
        return checked(plain, read_blob(place, blob.digest, blob.size), str(place))
