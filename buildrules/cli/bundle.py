"""What `buildrules bundle` does with what was built."""

import json
import os
import sys
from collections.abc import Iterable

from buildrules.cli.bundled import as_json, told
from buildrules.cli.content import Content, packages
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import environment_of, size_text
from buildrules.cli.stamps import Stamps
from buildrules.errors import UsageError
from buildrules.oci.copying.bundle import Bundle
from buildrules.oci.copying.parcel import ImageParcel, built_parcel
from buildrules.oci.copying.received import read_held
from buildrules.oci.names import tagged, without_tag
from buildrules.sha256 import digest_of


def after(invocation: Invocation) -> int:
    """Write the bundle and say what is in it; returns the exit code."""
    held = _held(invocation.request.option("have", ()))
    bundle = Bundle(_parcels(invocation), held)
    output = os.path.abspath(str(invocation.request.option("output")))
    bundle.write(output, invocation.run.here.progress)
    invocation.console.close()
    listing, checksum = bundle.listing, digest_of(bundle.listing.to_bytes())
    if invocation.request.option("json"):
        found = {"file": output, "bytes": bundle.size, **as_json(listing, checksum)}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    sys.stdout.write(f"bundle {output}: {size_text(bundle.size)}, list {checksum}\n")
    sys.stdout.write(told(listing))
    return 0


def _parcels(invocation: Invocation) -> list[ImageParcel]:
    """What was built of each package that was named. Raises UsageError."""
    template, stamps = invocation.request.option("tag"), Stamps(invocation.root)
    parcels: dict[str, ImageParcel] = {}
    for result in packages(invocation, "bundled"):
        label, own = result.goal.label, str(result.goal.info["name"])
        if template:
            own = f"{without_tag(own)}:{stamps.tag(str(template), environment_of(result)['version'])}"
        name = tagged(own)
        if name in parcels:
            hint = "give one of them another 'repository'"
            raise UsageError(f"'{label}' and another package make images of one name, {name!r}", hint=hint)
        content = Content(invocation, result)
        parcels[name] = built_parcel(name, content.whole, content.stream)
    return list(parcels.values())


def _held(paths: Iterable[str]) -> dict[str, int]:
    """What the lists and bundles at `paths` say is there."""
    found: dict[str, int] = {}
    for path in paths:
        found |= read_held(path)
    return found
