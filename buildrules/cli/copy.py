"""What `buildrules copy` does."""

import json
import os
import sys

from buildrules.cli.errand import Errand
from buildrules.cli.harmless import harmless
from buildrules.cli.moved import amounts, by_how
from buildrules.cli.push_report import planned
from buildrules.errors import UsageError
from buildrules.oci.copying.into_archive import write_parcel
from buildrules.oci.copying.into_layout import layout_sizes, write_parcels
from buildrules.oci.copying.into_registry import parcel_shipment
from buildrules.oci.copying.origin import open_origin, read_parcel
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.push.plan import make_plan
from buildrules.oci.push.pushing import push
from buildrules.oci.push.report import SENT, THERE, Row
from buildrules.oci.reference import ARCHIVE, DAEMON, LAYOUT, REGISTRY, Reference, parse_place


def copy(source: str, target: str, errand: Errand, *, platform: str | None, dry_run: bool, as_json: bool) -> None:
    """Copy an image and say what that took. Raises UsageError, RegistryError, IntegrityError, CredentialsError."""
    registry = errand.settings.default_registry if errand.settings else None
    start, end = parse_place(source, registry), parse_place(target, registry)
    if end.transport == DAEMON:
        raise UsageError(f"'{end}': nothing is copied into a Docker Engine", hint="use 'docker pull', or 'docker load'")
    origin = open_origin(start, errand.session)
    try:
        parcel = read_parcel(origin, start, _name(start, end), platform)
        rows = (_into_registry if end.transport == REGISTRY else _into_files)(parcel, start, end, errand, dry_run)
    finally:
        origin.close()
    errand.console.close()
    root = parcel.graph.root.digest
    if as_json:
        found = {"from": str(start), "to": str(end), "digest": root, "copied": not dry_run, **by_how(rows)}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    verb, sent = ("would copy", "to send") if dry_run else ("copied", "sent")
    sys.stdout.write(harmless(f"{verb} {start}\n  to {end}\n  {root}\n{amounts(rows, sent) or 'no blobs'}\n"))


def _into_registry(parcel: ImageParcel, start: Reference, end: Reference, errand: Errand, dry_run: bool) -> list[Row]:
    sources = [f"{start.host}/{start.name}"] if start.transport == REGISTRY else []
    plan = make_plan([parcel_shipment(parcel, end, errand.session, sources)], errand)
    return planned(plan) if dry_run else push(plan, errand, errand.warn).rows


def _into_files(parcel: ImageParcel, _start: Reference, end: Reference, errand: Errand, dry_run: bool) -> list[Row]:
    root = parcel.graph.root.digest
    if end.digest not in (None, root):
        raise UsageError(f"'{end}' names another digest than {root}", hint="leave it out: it follows from the image")
    there: dict[str, int] = {}
    if end.transport == LAYOUT and os.path.isdir(os.path.join(end.name, "blobs", "sha256")):
        there = layout_sizes(end.name)
    rows = [
        Row("", digest, size, "", THERE if there.get(digest) == size else SENT)
        for digest, size in parcel.graph.blobs.items()
    ]
    if dry_run:
        return rows
    if end.transport == ARCHIVE:
        write_parcel(end.name, parcel, errand.progress)
    else:
        write_parcels(end.name, [parcel], errand.progress)
    return rows


def _name(start: Reference, end: Reference) -> str:
    """What the image is called in a layout: as the target says, or as it is called where it comes from."""
    if end.transport == REGISTRY:
        return str(end)
    if end.tag:
        return end.tag
    if start.transport == REGISTRY:
        return f"{start.host}/{start.name}:{start.tag}" if start.tag else ""
    return start.tag or ""
