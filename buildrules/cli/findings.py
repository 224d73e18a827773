"""The findings of lints, as a build and `buildrules lint` show them."""

import posixpath

from buildrules.cli.harmless import harmless
from buildrules.cli.invocation import Invocation
from buildrules.engine.events import Status
from buildrules.engine.plan import LINT
from buildrules.lints.finding import Finding, with_places
from buildrules.workspace.root import BUILD_FILE


def fresh_findings(invocation: Invocation) -> list[Finding]:
    """What the lints found, each finding once: of those that ran or were looked up; of all if the plan is a new one."""
    found: dict[Finding, None] = {}
    for name, side in invocation.plan.sides.items():
        if side.role != LINT:
            continue
        outcome = invocation.outcomes.get(name)
        if outcome is None or outcome.outputs is None:
            continue
        if invocation.planned or outcome.status is not Status.UNCHANGED:
            places = invocation.plan.actions[name].places
            rows = outcome.outputs.values["findings"]
            found.update(dict.fromkeys(with_places(Finding(*row), places) for row in rows))
    if invocation.request.option("package"):  # its BUILD.yaml is nowhere but in memory
        return [finding._replace(path="") if _in_build_file(finding) else finding for finding in found]
    return list(found)


def _in_build_file(finding: Finding) -> bool:
    return posixpath.basename(finding.path) == BUILD_FILE


def finding_text(finding: Finding, *, harmful: bool = True) -> str:
    """A finding as a person wants it: severity, place, message, name, the way out.

    Verbs that do not fail because of it say `harmful=False`: then an error is that of a lint.
    """
    where = f"{finding.position}: " if finding.position is not None else ""
    severity = f"lint {finding.severity}" if not harmful and finding.severity == "error" else finding.severity
    text = f"{severity}: {where}{finding.message} [{finding.name}]"
    return harmless(f"{text}\n  hint: {finding.hint}" if finding.hint else text)
