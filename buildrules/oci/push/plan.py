"""What has to move: each blob is sent once to a registry, into one repository, and is mounted in the others."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from buildrules.errors import RegistryError
from buildrules.net.download import side_by_side
from buildrules.net.session import Fetching
from buildrules.oci.auth import endpoint
from buildrules.oci.push.report import THERE, Row
from buildrules.oci.push.shipment import PushBlob, Shipment
from buildrules.oci.push.standing import SMALL, Standing, look
from buildrules.oci.registry import Registry

PARALLEL = 8  # requests at once


class Send(NamedTuple):
    """A blob that no repository we know of has."""

    standing: Standing
    blob: PushBlob


class Mount(NamedTuple):
    """A blob that the repository `source` of the same registry has, or will have by then."""

    standing: Standing
    blob: PushBlob
    source: str


class PushPlan:
    """What is there, what is sent and what is mounted; nothing was changed yet."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        self.standings = standings
        self.sends: list[Send] = []
        self.mounts: list[Mount] = []

    @property
    def there(self) -> list[Row]:
        """The blobs that do not move."""
        moving = {(str(send.standing), send.blob.digest) for send in self.sends}
        moving |= {(str(mount.standing), mount.blob.digest) for mount in self.mounts}
        found = {}
        for standing in self.standings:
            for blob in standing.shipment.blobs:
                if (str(standing), blob.digest) not in moving:
                    found[str(standing), blob.digest] = Row(str(standing), blob.digest, blob.size, blob.kind, THERE)
        return list(found.values())

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        return sum(send.blob.size for send in self.sends)


def make_plan(shipments: Sequence[Shipment], context: Fetching, parallel: int = PARALLEL) -> PushPlan:
    """Ask the registries what they have of `shipments`. Raises RegistryError, Interrupted."""
    standings = side_by_side(lambda shipment, _: look(shipment), shipments, context, parallel)
    plan = PushPlan(standings)
    hosts: dict[str, list[Standing]] = {}
    one: dict[str, set[str]] = {}
    for standing in standings:
        hosts.setdefault(standing.shipment.registry.transport.host, []).append(standing)
        known = one.setdefault(str(standing), standing.blobs)  # two images may go into one repository
        known |= standing.blobs
        standing.blobs = known
    for group in hosts.values():
        _of_registry(plan, group, context, parallel)
    return plan


def _of_registry(plan: PushPlan, group: Sequence[Standing], context: Fetching, parallel: int) -> None:
    held: dict[str, str] = {}  # digest of a blob -> repository that has it
    wanted: dict[str, dict[str, Send]] = {}  # digest -> repository -> the blob, where it is wanted
    for standing in group:
        for digest in standing.blobs:
            held.setdefault(digest, standing.shipment.registry.repository)
    for standing in group:
        for blob in standing.lacking:
            places = wanted.setdefault(blob.digest, {})
            places.setdefault(standing.shipment.registry.repository, Send(standing, blob))
    firsts = [next(iter(places.values())) for digest, places in wanted.items() if digest not in held]
    asked = [send for send in firsts if send.standing.guessed or send.blob.size > SMALL]
    for send, place in zip(asked, side_by_side(_where, asked, context, parallel), strict=True):
        if place is not None:
            held[send.blob.digest] = place
        if place == send.standing.shipment.registry.repository:
            send.standing.blobs.add(send.blob.digest)
    for digest, places in wanted.items():
        for repository, send in places.items():
            if digest not in held:
                held[digest] = repository
                plan.sends.append(send)
            elif digest not in send.standing.blobs:
                plan.mounts.append(Mount(*send, held[digest]))


def _where(send: Send, _stop: object) -> str | None:
    """The repository that has the blob: the one that wants it, or one of its sources; None where none has."""
    blob, registry = send.blob, send.standing.shipment.registry
    if registry.blob_size(blob.digest) == blob.size:
        return registry.repository
    for name in beside(registry, blob.sources):
        try:
            if (
                Registry(registry.transport.host, name, transport=registry.transport).blob_size(blob.digest)
                == blob.size
            ):
                return name
        except RegistryError:
            continue  # which we may not read
    return None


def beside(registry: Registry, sources: Iterable[str]) -> list[str]:
    """The names of the other repositories among `sources`, as people write them, that are in the same registry."""
    found = [endpoint(host, name) for host, _, name in (source.partition("/") for source in sources)]
    return [name for host, name in found if host == registry.transport.host and name != registry.repository]
