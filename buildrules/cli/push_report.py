"""What a push says: its plan, and what it did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.cli.moved import FATES, amounts
from buildrules.cli.report import size_text
from buildrules.oci.push.plan import PushPlan
from buildrules.oci.push.report import MOUNTED, SENT, SHARED, PushReport, Row, total
from buildrules.oci.push.standing import Standing


def planned(plan: PushPlan) -> list[Row]:
    """What the plan makes of each blob."""
    rows = plan.there
    rows += [Row(str(one.standing), one.blob.digest, one.blob.size, one.blob.kind, MOUNTED) for one in plan.mounts]
    rows += [Row(str(one.standing), one.blob.digest, one.blob.size, one.blob.kind, SENT) for one in plan.sends]
    return rows


def plan_lines(plan: PushPlan, left: Mapping[str, str]) -> list[str]:
    """A line for each package, and one for all."""
    rows = planned(plan)
    lines = [f"{label}  not pushed: {reason}" for label, reason in left.items()]
    for standing in plan.standings:
        own = [row for row in rows if row.repository == str(standing)]
        what = "all there" if standing.settled else amounts(own, sent="to send") or "all there, the tags move"
        lines.append(f"{standing.shipment.title}  {standing}:{','.join(standing.shipment.tags)}  {what}")
    if len(plan.standings) > 1:
        lines.append(f"in all: {amounts(rows, sent='to send') or 'nothing to do'}")
    return lines


def report_lines(plan: PushPlan, report: PushReport, seconds: float) -> list[str]:
    """The digests, and what was sent."""
    verbs = ["there already:" if standing.settled else "pushed" for standing in plan.standings]
    lines = [f"{verb} {one}@{one.shipment.root.digest}" for verb, one in zip(verbs, plan.standings, strict=True)]
    kinds = ", ".join(f"{kind} {size_text(size)}" for kind, size in report.sent_by_kind.items())
    sent = f"{size_text(report.sent)} sent" + (f" ({kinds})" if kinds else "")
    more = [f"{size_text(total(report.of(how)))} {how}" for how in (MOUNTED, SHARED) if report.of(how)]
    if report.resent:
        more.append(f"{size_text(report.resent)} of what was sent the registry has elsewhere")
    moved = f"{len(report.moved)} tag{'s' * (len(report.moved) != 1)} moved"
    return [*lines, f"{', '.join([sent, *more, moved])} in {seconds:.2f} s"]


def push_value(plan: PushPlan, report: PushReport | None, left: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """The one object of `--json`; without a report what would be done."""
    rows = planned(plan) if report is None else report.rows
    by_how: Counter[str] = Counter(dict.fromkeys(FATES, 0))
    for row in rows:
        by_how[row.how] += row.size
    kinds: Counter[str] = Counter()
    for row in rows:
        if row.how == SENT:
            kinds[row.kind] += row.size
    return {
        "pushed": report is not None,
        "packages": [_package(standing, rows) for standing in plan.standings],
        "left_out": [{"label": label, "reason": reason} for label, reason in left.items()],
        "bytes": {**by_how, "sent_by_kind": dict(sorted(kinds.items()))},
        "tags_moved": report.moved if report is not None else [],
        "seconds": round(seconds, 4),
    }


def _package(standing: Standing, rows: Sequence[Row]) -> dict[str, Any]:
    item = standing.shipment
    return {
        "label": item.title,
        "repository": str(standing),
        "tags": list(item.tags),
        "digest": item.root.digest,
        "manifests": [manifest.digest for manifest in item.manifests],
        "blobs": [
            {"digest": row.digest, "size": row.size, "kind": row.kind, "how": row.how}
            for row in rows
            if row.repository == str(standing)
        ],
    }
