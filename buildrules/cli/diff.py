"""What `buildrules diff` does: describe two images, compare them, and say how they differ."""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from buildrules.cli.console import Console
from buildrules.cli.diff_report import difference_json, difference_lines, difference_markdown
from buildrules.cli.errand import Errand
from buildrules.cli.harmless import harmless, in_lines
from buildrules.cli.images import Named, at_revision, built, placed
from buildrules.cli.invocation import Invocation
from buildrules.contents.described import Described
from buildrules.contents.difference import compare


def after(invocation: Invocation) -> int:
    """Compare images of which one was built; returns the exit code."""
    request, records = invocation.request, invocation.store.records
    registry = invocation.results[0].goal.info["registry"] if invocation.results else None

    def described(named: Named) -> AbstractContextManager[Described]:
        if named.here:
            return contextlib.nullcontext(built(invocation, named))
        if named.label:
            return at_revision(invocation.root, invocation.directory, named, request.options)
        return placed(named.text, invocation.run.here, records, registry, request.option("platform"))

    return _compare([Named(*row) for row in request.option("sides")], described, request.options, invocation.console)


def compare_others(sides: Sequence[Named], root: str, directory: str, options: Mapping[str, Any]) -> int:
    """Compare images of which none is as the workspace at `root` is now; returns the exit code."""
    with Errand(quiet=bool(options.get("quiet") or options.get("json"))) as errand:
        registry = errand.settings.default_registry if errand.settings else None

        def described(named: Named) -> AbstractContextManager[Described]:
            if named.label:
                return at_revision(root, directory, named, options)
            return placed(named.text, errand, errand.store.records, registry, options.get("platform"))

        return _compare(sides, described, options, errand.console)


def _compare(
    sides: Sequence[Named],
    described: Callable[[Named], AbstractContextManager[Described]],
    options: Mapping[str, Any],
    console: Console,
) -> int:
    with contextlib.ExitStack() as stack:
        found = compare(*(stack.enter_context(described(named)) for named in sides))
    console.close()
    form, verbose = options["form"], bool(options.get("verbose"))
    if form == "json":
        sys.stdout.write(difference_json(found))
    elif form == "markdown":
        sys.stdout.write(harmless(difference_markdown(found)))
    else:
        sys.stdout.write(in_lines(difference_lines(found, verbose=verbose)))
    return 1 if options.get("exit_code") and not found.same else 0
