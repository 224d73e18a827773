"""Which packages' tests passed: what passed before is not tested again."""

from collections.abc import Collection

from buildrules.cli.invocation import Invocation
from buildrules.cli.request import Request
from buildrules.engine.plan import Goal
from buildrules.engine.result import GoalResult


def untested(invocation: Invocation, labels: Collection[str]) -> dict[str, str]:
    """Test the packages `labels`, which `invocation` has built: those that must not leave, and why.

    All of a package's tests must pass, and there must be one; platforms that cannot be started here are left to others.
    They are planned anew: what was edited since the build is tested, and is not what would leave.
    """
    options = {**invocation.request.options, "test": True, "keep_going": True, "events": None, "profile": None}
    request = Request("test", sorted(labels), options)
    tests = Invocation(invocation.root, "", (), request)
    try:
        tests.prepare(None)
        build = tests.build()
        tests.end(0)
    finally:
        tests.close()
    built = {(result.goal.label, result.goal.platform): result for result in invocation.results}
    passed: set[str] = set()
    left: dict[str, str] = {}
    for goal in tests.plan.goals:
        package = str(goal.info.get("package", goal.label))
        outcome = build.outcomes.get(goal.action)
        if goal.kind != "test":
            continue
        if outcome is None or outcome.outputs is None:
            left[package] = f"{goal.label} failed on {goal.platform}"
        elif not _same(tests, goal, built.get((package, goal.platform))):
            left[package] = f"{goal.label} tested another image on {goal.platform}: its files were edited meanwhile"
        else:
            passed.add(package)
    for label in labels:
        if label not in passed:
            left.setdefault(label, "it has no tests that could be run here")
    return {label: reason for label, reason in left.items() if label in labels}


def _same(tests: Invocation, goal: Goal, built: GoalResult | None) -> bool:
    """Whether the test `goal` was of what was built. A job's image has layers of its own on those of the package."""
    if built is None:
        return False
    image = tests.plan.actions[tests.plan.actions[goal.action].deps[0]]
    if not goal.info["job"]:
        made = tests.outcomes[image.id].outputs
        return made is not None and made.values["digest"] == built.digest
    below = [tests.outcomes[name].outputs for name in image.deps]
    layers = [layer.digest for made in below if made is not None for layer in made.layers]
    own = [item.layer.digest for item in built.layers]
    return layers[: len(own)] == own
