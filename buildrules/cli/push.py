"""What `buildrules push` does once the packages are built."""

import contextlib
import json
import sys
import time
from collections.abc import Sequence

from buildrules.cli.content import Content, packages
from buildrules.cli.destination import destination
from buildrules.cli.harmless import harmless
from buildrules.cli.invocation import Invocation
from buildrules.cli.push_report import plan_lines, push_value, report_lines
from buildrules.cli.report import environment_of
from buildrules.cli.request import Request
from buildrules.cli.stamps import Stamps
from buildrules.engine.result import GoalResult
from buildrules.errors import UsageError
from buildrules.oci.image import annotated
from buildrules.oci.push.plan import make_plan
from buildrules.oci.push.pushing import push
from buildrules.oci.push.report import SENT, PushReport
from buildrules.oci.push.shipment import Shipment, shipment
from buildrules.oci.reference import REGISTRY, parse_reference
from buildrules.oci.registries import Registries
from buildrules.report.contents import KINDS, OTHER
from buildrules.store.pushed import Pushed


def after(invocation: Invocation) -> int:
    """Push, and say what was sent; returns the exit code."""
    began = time.perf_counter()
    request, results = invocation.request, packages(invocation, "pushed")
    left: dict[str, str] = {}
    if request.option("tested"):
        from buildrules.cli.tested import untested

        left = untested(invocation, {result.goal.label for result in results})
        results = [result for result in results if result.goal.label not in left]
    stamps, pushed = Stamps(invocation.root), Pushed(invocation.store.table)
    shipments = [shipment_of(invocation, result, stamps, pushed) for result in results]
    _apart(shipments)
    context = invocation.run.here
    plan = make_plan(shipments, context)
    as_json, dry = bool(request.option("json")), bool(request.option("dry_run"))
    if not as_json:
        _say(plan_lines(plan, left))
    report = None if dry else push(plan, context, context.warn)
    if report is not None:
        _note(pushed, report)
    invocation.console.close()
    seconds = time.perf_counter() - began
    value = push_value(plan, report, left, seconds)
    if report is not None:
        invocation.events.tell("pushed", value)
    if as_json:
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    elif report is not None:
        _say(report_lines(plan, report, seconds))
    return 1 if left else 0


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write(harmless("\n".join(lines) + "\n"))
    sys.stdout.flush()


def shipment_of(invocation: Invocation, result: GoalResult, stamps: Stamps, pushed: Pushed) -> Shipment:
    """What of a package goes where. Raises UsageError, CredentialsError."""
    request = invocation.request
    place, version = destination(request, result), environment_of(result)["version"]
    tags = [stamps.tag(str(tag), version) for tag in request.option("tags") or ()] or [str(place.tag or "latest")]
    content = Content(invocation, result)
    whole = content.whole
    if request.option("annotations"):
        whole = annotated(whole, _annotations(request, stamps, version))
    makers = {item.layer.digest: item.action for item in result.layers}
    elsewhere = [*_caches(invocation), *_repository(str(result.goal.info["name"]), result.goal.info["registry"])]
    registry = invocation.session.own(Registries).of(place.host, place.name)
    host = registry.transport.host

    def sources(digest: str) -> list[str]:
        places, noted = invocation.run.sources.origin(makers[digest]).places, pushed.place(host, digest)
        found = [f"{host}/{noted}"] if noted else []
        if places.get("reference"):
            found += _repository(str(places["reference"]), places.get("default_registry"))
        return list(dict.fromkeys([*found, *elsewhere]))

    return shipment(
        registry,
        whole,
        content.stream,
        list(dict.fromkeys(tags)),
        title=result.goal.label,
        kinds=lambda digest: KINDS.get(makers[digest].kind, OTHER),
        sources=sources,
    )


def _note(pushed: Pushed, report: PushReport) -> None:
    """Keep where layers are now: what goes elsewhere in the same registry is mounted from there."""
    for row in report.rows:
        host, _, repository = row.repository.partition("/")
        if row.kind != "config" and (row.how == SENT or pushed.place(host, row.digest) is None):
            pushed.note(host, row.digest, repository)


def _repository(name: str, default_registry: str | None) -> list[str]:
    """The repository that an image of this name is in, `host/name`; none where it is in no registry."""
    with contextlib.suppress(UsageError):  # a name without any, which --to makes up for
        found = parse_reference(name, default_registry)
        return [f"{found.host}/{found.name}"] if found.transport == REGISTRY else []
    return []


def _caches(invocation: Invocation) -> list[str]:
    """The repositories that the shared cache keeps layers in."""
    if invocation.sharing is None:
        return []
    from buildrules.remote.registry import mount_source

    return [source for url in invocation.sharing.urls if (source := mount_source(url))]


def _annotations(request: Request, stamps: Stamps, version: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in request.option("annotations"):
        name, sign, value = str(text).partition("=")
        if not name or not sign:
            raise UsageError(
                f"{text!r} is not NAME=VALUE", hint="--annotation org.opencontainers.image.revision={git.sha}"
            )
        found[name] = stamps.fill(value, version)
    return found


def _apart(shipments: Sequence[Shipment]) -> None:
    """Raise UsageError where two packages want the same name."""
    taken: dict[str, str] = {}
    for one in shipments:
        for tag in one.tags:
            name = f"{one.registry}:{tag}"
            other = taken.setdefault(name, one.title)
            if other != one.title:
                raise UsageError(f"{other} and {one.title} would both be {name}", hint="give one another 'repository'")
