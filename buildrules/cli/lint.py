"""What `buildrules lint` reports."""

import json
import sys
from typing import Any

from buildrules.cli.findings import finding_text, fresh_findings
from buildrules.cli.invocation import Invocation, failures
from buildrules.cli.report import error_json, error_text, summary
from buildrules.engine.build import Build
from buildrules.lints.finding import ERROR


def report(invocation: Invocation, build: Build, seconds: float) -> int:
    """Report; returns the exit code: 1 for a finding that is an error (with --strict for any), or if a lint failed."""
    findings = fresh_findings(invocation)
    broken = failures(build)
    packages = len({side.label for side in invocation.plan.sides.values()})
    errors = sum(finding.severity == ERROR for finding in findings)
    if invocation.request.option("json"):
        value: dict[str, Any] = {"packages": packages, "findings": [finding.to_dict() for finding in findings]}
        if broken:
            value["errors"] = [error_json(error) for error in broken]
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        sys.stdout.write("".join(finding_text(finding) + "\n" for finding in findings))
        count = f"{packages} package{'s' * (packages != 1)}"
        warnings = len(findings) - errors
        more = "" if packages else "; environments, bases and models are looked at with the packages made of them"
        sys.stdout.write(
            f"{count}: {errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}{more}\n"
        )
    invocation.log.end(ok=not broken, text="\n".join(error_text(error) for error in broken))
    if broken:
        invocation.say_failures(broken, summary(build, seconds))
    failed = errors or (findings and invocation.request.option("strict"))
    return 1 if failed or broken else 0
