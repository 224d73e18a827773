"""What `buildrules unbundle` does."""

import json
import os
import sys
from typing import Any

from buildrules.cli.bundled import as_json as listing_json
from buildrules.cli.bundled import told
from buildrules.cli.errand import Errand
from buildrules.cli.moved import amounts, by_how
from buildrules.cli.push_report import planned
from buildrules.cli.report import size_text
from buildrules.errors import IntegrityError
from buildrules.oci.copying.into_layout import layout_sizes, write_parcels
from buildrules.oci.copying.into_registry import places, plan_bundle, registry_sizes
from buildrules.oci.copying.listing import Listing
from buildrules.oci.copying.received import Received
from buildrules.oci.layout import reported
from buildrules.oci.push.pushing import push
from buildrules.oci.whole_file import write_whole


def unbundle(
    file: str,
    errand: Errand,
    *,
    to: str | None = None,
    layout: str | None = None,
    dry_run: bool = False,
    listed: bool = False,
    digest: str | None = None,
    as_json: bool = False,
) -> None:
    """Write the images of the bundle `file` to a place, or only look at it, and say what was done.

    Raises IntegrityError where it is damaged, or its list has another digest than `digest`.
    """
    with Received(file) as bundle:
        if digest is not None and digest.removeprefix("sha256:") != bundle.checksum.removeprefix("sha256:"):
            hint = "ask for the digest again, and for the file"
            raise IntegrityError(f"the list of {file!r} has the digest {bundle.checksum}, not {digest!r}", hint=hint)
        done: dict[str, Any] = {}
        if layout is not None:
            report = write_parcels(layout, bundle.parcels, errand.progress, bundle.listing.expected)
            done = {"layout": os.path.abspath(layout), "written": report.blobs_written, "bytes": report.written}
            text = f"{report.blobs_written} blobs, {size_text(report.written)} written; {report.blobs_kept} were there"
        elif to is not None:
            chosen = places(to, [parcel.name for parcel in bundle.parcels])
            plan = plan_bundle(bundle.parcels, bundle.listing.expected, chosen, errand)
            rows = planned(plan) if dry_run else push(plan, errand, errand.warn).rows
            done = {"to": [str(place) for place in chosen], "pushed": not dry_run, **by_how(rows)}
            verb, sent = ("would push", "to send") if dry_run else ("pushed", "sent")
            verbs = ["there already:" if standing.settled else verb for standing in plan.standings]
            lines = [f"{verb} {place}" for verb, place in zip(verbs, chosen, strict=True)]
            text = "\n".join([*lines, amounts(rows, sent) or "no blobs"])
        elif listed:
            text = ""
        else:
            _check(bundle, errand)
            done = {"checked": len(bundle.listing.blobs)}
            text = f"{len(bundle.listing.blobs)} blobs checked, all of them right"
        errand.console.close()
        if as_json:
            found = {"file": os.path.abspath(file), **listing_json(bundle.listing, bundle.checksum), **done}
            sys.stdout.write(json.dumps(found, indent=2) + "\n")
        else:
            sys.stdout.write(f"bundle {os.path.abspath(file)}: list {bundle.checksum}\n{told(bundle.listing)}")
            sys.stdout.write(f"{text}\n" if text else "")


def write_have_list(path: str, errand: Errand, *, layout: str | None, to: str | None, file: str | None) -> None:
    """Write the list of what is in a layout, or in the repositories of a registry that the images of `file` go to.

    Raises UsageError, RegistryError.
    """
    if layout is not None:
        blobs = layout_sizes(layout)
    else:
        assert to is not None
        assert file is not None
        with Received(file) as bundle:
            chosen = places(to, [parcel.name for parcel in bundle.parcels])
        blobs = registry_sizes(chosen, errand.session)
    write_whole(path, [Listing(blobs=blobs).to_bytes()], "list", path)
    sys.stderr.write(f"list {os.path.abspath(path)}: {len(blobs)} blobs, {size_text(sum(blobs.values()))}\n")


def _check(bundle: Received, errand: Errand) -> None:
    """Hold every blob against its digest. Raises IntegrityError."""
    total, done = sum(bundle.listing.blobs.values()), 0
    for digest, size in bundle.listing.blobs.items():
        for _ in reported(bundle.blob(digest).open(), "checking", done, total, errand.progress):
            pass
        done += size
