"""What `affected` prints: labels, JSON, jobs for GitHub and GitLab."""

import json
from collections.abc import Sequence

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
    labels = answer.labels
    parts = _parts(answer, count)
    if output == "labels":
        return "".join(f"{' '.join(part)}\n" for part in parts)
    if output == "json":
        found: dict[str, object] = {"affected": labels}
        if count is not None:
            found["shards"] = parts
        return json.dumps(found, indent=2) + "\n"
    if len(parts) > _MOST:
        raise UsageError(f"{len(parts)} jobs are more than {_MOST}", hint="ask for --shards 16, say")
    jobs = {_name(number, part, count): " ".join(part) for number, part in enumerate(parts, 1)}
    if output == "github-matrix":
        return json.dumps({"include": [{"name": name, "labels": text} for name, text in jobs.items()]}) + "\n"
    return _gitlab(jobs)


def _parts(answer: Answer, count: int | None) -> list[list[str]]:
    """The labels of each job: of each shard that has any, or one by one."""
    if count is None:
        return [[label] for label in answer.labels]
    from buildrules.cli.took import seconds_of
    from buildrules.revisions.affected import shards

    return [part for part in shards(answer.labels, count, seconds_of(answer.root)) if part]


def _name(number: int, part: Sequence[str], count: int | None) -> str:
    return part[0] if count is None else f"{number} of {count}"


def _gitlab(jobs: dict[str, str]) -> str:
    """A child pipeline; the jobs are those of the job `.buildrules` in a file of the repository."""
    if not jobs:
        return 'nothing is affected:\n  script: ["true"]\n'
    lines = ["include:", "  - local: .gitlab/buildrules.yml"]
    for name, labels in jobs.items():
        lines += [f"{json.dumps(name)}:", "  extends: .buildrules", "  variables:", f"    LABELS: {json.dumps(labels)}"]
    return "\n".join(lines) + "\n"
