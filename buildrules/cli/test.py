"""What `buildrules test` reports: a line for each test, then what was wrong with those that failed."""

import json
import re
import sys
from typing import Any, NamedTuple

from buildrules.cli.harmless import harmless
from buildrules.cli.invocation import Invocation, once
from buildrules.cli.report import error_json, error_text, folded
from buildrules.cli.took import keep_failed
from buildrules.cli.writing import write_own
from buildrules.engine.build import Build, Outcome
from buildrules.engine.events import Status
from buildrules.engine.plan import Goal
from buildrules.errors import BuildrulesError, PackageTestError

_LOG_LINES = 30


class Row(NamedTuple):
    """One test. `status` is passed, flaky, cached, failed, not tested or not run."""

    goal: Goal
    status: str
    words: str
    seconds: float
    outcome: Outcome | None

    @property
    def error(self) -> BuildrulesError | None:
        return self.outcome.error if self.outcome is not None else None

    @property
    def broken(self) -> bool:
        """Whether it could not be run."""
        return self.status in ("failed", "not run") and not isinstance(self.error, PackageTestError)


def report(invocation: Invocation, build: Build, seconds: float) -> int:
    """Report; returns the exit code: 1 where a test failed or could not be run."""
    request = invocation.request
    rows = [_row(goal, build.outcomes.get(goal.action)) for goal in invocation.plan.goals]
    tests = {row.goal.action for row in rows}
    broken = once(
        outcome.error for name, outcome in build.outcomes.items() if outcome.error is not None and name not in tests
    )
    for row in rows:
        invocation.events.tell("test_finished", _plain(row))
    text, executor = _text(rows, seconds), None
    if request.option("explain_executor"):
        from buildrules.cli.placed import explained

        executor, lines = explained(invocation.away, build)
        text += lines
    invocation.log.end(ok=build.ok, text="\n".join([text, *(error_text(error) for error in broken)]))
    if build.ok:
        invocation.save([""] * len(rows), ("", "", ""))  # no command answers with it
    failed = {row.goal.label for row in rows if row.status in ("failed", "not run")}
    keep_failed(invocation.root, failed, {row.goal.label for row in rows} - failed)
    if request.option("junit"):
        write_junit(str(request.option("junit")), rows)
    if request.option("json"):
        sys.stdout.write(_json(rows, broken, invocation.log.to_dict(), seconds, executor))
    else:
        sys.stdout.write(text)
    if not build.ok:
        invocation.say_failures(broken, _counted(rows, seconds))
    return 0 if build.ok else 1


def _row(goal: Goal, outcome: Outcome | None) -> Row:
    if goal.kind == "untested":
        return Row(goal, "not tested", str(goal.info["reason"]), 0.0, outcome)
    count = len(goal.info["requests"])
    asked = "1 job" if goal.info["job"] else f"{count} request{'s' * (count != 1)}"
    if outcome is None or outcome.status is Status.SKIPPED:
        return Row(goal, "not run", "what it needs could not be built", 0.0, outcome)
    if outcome.outputs is None:
        message = outcome.error.message if outcome.error is not None else ""
        if isinstance(outcome.error, PackageTestError):
            message = ", ".join(dict.fromkeys(item["kind"] for item in outcome.error.failures))
        return Row(goal, "failed", message, outcome.seconds, outcome)
    values = outcome.outputs.values
    took = float(values["seconds"])
    again = f", at the second attempt; before it {values['flaky']}" if values["flaky"] else ""
    if outcome.status is Status.EXECUTED:
        status = "flaky" if again else "passed"
        placed = outcome.placed
        where = f" on {placed.worker or 'another machine'}" if placed is not None and not placed.stayed else ""
        return Row(goal, status, f"{asked} in {took:.1f} s ({values['runner']}{where}){again}", took, outcome)
    passed = "it passed" if goal.info["job"] else "they passed"
    return Row(goal, "cached", f"{asked}, unchanged since {passed} ({values['runner']}){again}", 0.0, outcome)


def _text(rows: list[Row], seconds: float) -> str:
    width = max((len(row.goal.label) for row in rows), default=0)
    platforms = len({row.goal.platform for row in rows}) > 1
    lines = []
    for row in rows:
        platform = f"  {row.goal.platform}" if platforms else ""
        lines.append(f"{row.status:<10}  {row.goal.label:<{width}}{platform}  {row.words}")
    for row in rows:
        if row.error is not None and row.status == "failed":
            lines += ["", f"{row.goal.label}  {row.goal.platform}", *_failure_lines(row.error)]
    lines += [""] * any(row.status == "failed" for row in rows)
    lines.append(_counted(rows, seconds))
    return harmless("\n".join(lines) + "\n")


def _counted(rows: list[Row], seconds: float) -> str:
    counted = [
        f"{sum(row.status == status for row in rows)} {status}"
        for status in ("passed", "flaky", "cached", "failed", "not run", "not tested")
        if any(row.status == status for row in rows)
    ]
    return f"{', '.join(counted) or 'no tests'} in {seconds:.2f} s"


def _failure_lines(error: BuildrulesError) -> list[str]:
    if not isinstance(error, PackageTestError):
        return ["  " + line for line in error_text(error).splitlines()]
    lines = []
    for item in error.failures:
        where = f"{item['request']}: " if "request" in item else ""
        lines.append(f"  {where}{item['kind']}: {item['message']}")
        lines += [f"      {line}" for line in item.get("detail", "").splitlines()]
        if item.get("log"):
            lines.append("    its last log lines:")
            lines += [f"      {line}" for line in folded(item["log"].splitlines()[-_LOG_LINES:])]
    return lines


def _plain(row: Row) -> dict[str, Any]:
    test: dict[str, Any] = {
        "label": row.goal.label,
        "platform": row.goal.platform,
        "package": row.goal.info.get("package", row.goal.label),
        "status": row.status,
    }
    if row.goal.kind == "untested":
        test["reason"] = row.goal.info["reason"]
    if row.outcome is not None and row.outcome.outputs is not None and row.goal.kind == "test":
        test.update(row.outcome.outputs.values)
    if isinstance(row.error, PackageTestError):
        test["failures"] = row.error.failures
    elif row.error is not None:
        test["error"] = error_json(row.error)
    return test


def _json(
    rows: list[Row],
    broken: list[BuildrulesError],
    log: dict[str, Any],
    seconds: float,
    executor: dict[str, Any] | None,
) -> str:
    value: dict[str, Any] = {"build": log, "tests": [_plain(row) for row in rows]}
    if executor is not None:
        value["executor"] = executor
    if broken:
        value["errors"] = [error_json(error) for error in broken]
    value["seconds"] = round(seconds, 4)
    return json.dumps(value, indent=2) + "\n"


def write_junit(path: str, rows: list[Row]) -> None:
    """JUnit XML, as CI systems read it (the `testsuite` element of Jenkins' junit-10.xsd)."""
    from xml.etree import ElementTree

    def sound(text: str) -> str:
        return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)  # XML 1.0, 2.2

    suite = ElementTree.Element(
        "testsuite",
        name="buildrules",
        tests=str(len(rows)),
        failures=str(sum(isinstance(row.error, PackageTestError) for row in rows)),
        errors=str(sum(row.broken for row in rows)),
        skipped=str(sum(row.status == "not tested" for row in rows)),
    )
    for row in rows:
        case = ElementTree.SubElement(
            suite, "testcase", classname=row.goal.label, name=row.goal.platform, time=f"{row.seconds:.3f}"
        )
        if row.status == "not tested":
            ElementTree.SubElement(case, "skipped", message=row.words)
        elif row.status == "flaky":
            ElementTree.SubElement(case, "flakyFailure", type="flaky", message=sound(row.words))
        elif row.status in ("failed", "not run"):
            kind = "error" if row.broken else "failure"
            found = ElementTree.SubElement(case, kind, message=sound(row.words))
            found.text = sound("\n".join(_failure_lines(row.error))) if row.error is not None else ""
    write_own(path, ElementTree.tostring(suite, "utf-8", xml_declaration=True).decode(), '<testsuite name="buildrules"')
