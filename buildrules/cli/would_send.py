"""What a push of packages would send."""

from typing import NamedTuple

from buildrules.cli.content import packages
from buildrules.cli.destination import destination
from buildrules.cli.invocation import Invocation
from buildrules.cli.push import shipment_of
from buildrules.cli.stamps import Stamps
from buildrules.errors import UsageError
from buildrules.oci.auth import endpoint
from buildrules.oci.push.plan import make_plan
from buildrules.store.pushed import Pushed


class Sending(NamedTuple):
    """The bytes of the blobs that a registry lacks; it was `asked`, or that is what is known of earlier pushes."""

    registry: str
    bytes: int
    asked: bool


def would_send(invocation: Invocation) -> Sending | None:
    """What a push would send; None where no registry is known. Raises RegistryError where one is to be asked."""
    request, results = invocation.request, packages(invocation, "pushed")
    pushed = Pushed(invocation.store.table)
    if request.option("to"):
        stamps = Stamps(invocation.root)
        shipments = [shipment_of(invocation, result, stamps, pushed) for result in results]
        return Sending(str(request.option("to")), make_plan(shipments, invocation.run.here).size, True)
    layers: dict[str, dict[str, int]] = {}
    for result in results:
        try:
            place = destination(request, result)
            host = endpoint(place.host, place.name)[0]
        except UsageError:
            if len(hosts := pushed.hosts()) != 1:
                return None
            (host,) = hosts
        layers.setdefault(host, {}).update((item.layer.digest, item.layer.size) for item in result.layers)
    size = sum(size for host, own in layers.items() for digest, size in own.items() if not pushed.place(host, digest))
    return Sending(", ".join(sorted(layers)), size, False)
