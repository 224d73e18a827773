"""What `affected` prints: labels, JSON, jobs for GitHub and GitLab."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from buildrules.cli.affected import Answer
from buildrules.cli.harmless import in_lines
from buildrules.errors import UsageError

OUTPUTS = ("labels", "json", "github-matrix", "gitlab")
_MOST = 256
"""Jobs of a matrix of GitHub: "Workflow syntax", `strategy.matrix`."""


def written(answer: Answer, output: str, count: int | None) -> str:
    """The text. Raises UsageError for more jobs than a platform takes."""
    if answer.reasons:
        return in_lines(answer.reasons)
    tests = answer.tests or {}
    parts = _parts(answer, tests, count)
    if output == "labels":
        return "".join(f"{' '.join(dict.fromkeys((*part.labels, *part.tests)))}\n" for part in parts)
    if output == "json":
        found: dict[str, object] = {"affected": answer.labels}
        if answer.tests is not None:
            found["tests"] = sorted(tests)
        if count is not None:
            found["shards"] = [part.labels if answer.tests is None else part._asdict() for part in parts]
        return json.dumps(found, indent=2) + "\n"
    if len(parts) > _MOST:
        raise UsageError(f"{len(parts)} jobs are more than {_MOST}", hint="ask for --shards 16, say")
    jobs = {}
    for number, part in enumerate(parts, 1):
        job = {"labels": " ".join(part.labels)} | ({} if answer.tests is None else {"tests": " ".join(part.tests)})
        jobs[(*part.labels, *part.tests)[0] if count is None else f"{number} of {count}"] = job
    if output == "github-matrix":
        return json.dumps({"include": [{"name": name, **job} for name, job in jobs.items()]}) + "\n"
    return _gitlab(jobs)


class _Part(NamedTuple):
    """What one job builds and tests."""

    labels: list[str]
    tests: list[str]


def _parts(answer: Answer, tests: Mapping[str, str], count: int | None) -> list[_Part]:
    """The work of each job: of each shard that has any, or of each label. A test goes with its package."""
    packages = sorted({*answer.labels, *tests.values()}, key=lambda label: label[2:].split(":"))
    if count is None:
        divided = [[label] for label in packages]
    else:
        from buildrules.cli.took import seconds_of
        from buildrules.revisions.affected import shards

        divided = [part for part in shards(packages, count, seconds_of(answer.root)) if part]
    built = set(answer.labels)
    return [
        _Part([one for one in part if one in built], sorted(test for test, package in tests.items() if package in part))
        for part in divided
    ]


def _gitlab(jobs: Mapping[str, Mapping[str, str]]) -> str:
    """A child pipeline; the jobs are those of the job `.buildrules` in a file of the repository."""
    lines = ["include:", "  - local: .gitlab/buildrules.yml"]
    if not jobs:
        lines += ["nothing is affected:", '  script: ["true"]']
    for name, job in jobs.items():
        lines += [f"{json.dumps(name)}:", "  extends: .buildrules", "  variables:"]
        lines += [f"    {key.upper()}: {json.dumps(text)}" for key, text in job.items()]
    return "\n".join(lines) + "\n"
