"""What `buildrules lint` reports."""

import json
import sys
from collections.abc import Sequence

from buildrules.cli.findings import finding_text
from buildrules.cli.invocation import Invocation, failures
from buildrules.cli.report import error_json, error_text
from buildrules.engine.build import Build
from buildrules.lints.finding import ERROR, Finding


def finish(invocation: Invocation, build: Build, findings: Sequence[Finding]) -> int:
    """Report; returns the exit code: 1 for a finding that is an error (with --strict for any), or if a lint failed."""
    broken = failures(build)
    errors = sum(finding.severity == ERROR for finding in findings)
    if invocation.request.option("json"):
        value = {"packages": len(set(invocation.plan.sides.values()))}
        value |= {"findings": [finding.to_dict() for finding in findings]}  # type: ignore[dict-item]
        if broken:
            value["errors"] = [error_json(error) for error in broken]  # type: ignore[assignment]
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        sys.stdout.write("".join(finding_text(finding) + "\n" for finding in findings))
        packages = len(set(invocation.plan.sides.values()))
        count = f"{packages} package{'s' * (packages != 1)}"
        warnings = len(findings) - errors
        sys.stdout.write(f"{count}: {errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}\n")
    sys.stdout.flush()
    invocation.log.end(ok=not broken, text="\n".join(error_text(error) for error in broken))
    for error in broken:
        sys.stderr.write(error_text(error) + "\n")
    if broken:
        sys.stderr.write(invocation.log.line())
    failed = errors or (findings and invocation.request.option("strict"))
    return 1 if failed or broken else 0
