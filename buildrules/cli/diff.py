"""What `buildrules diff` does: describe two images, compare them, and say how they differ."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.cli.console import Console
from buildrules.cli.diff_report import difference_json, difference_lines, difference_markdown
from buildrules.cli.harmless import harmless, in_lines
from buildrules.cli.images import Named, Opener, asked
from buildrules.cli.invocation import Invocation
from buildrules.contents.difference import compare


def after(invocation: Invocation) -> int:
    """Compare images of which one was built; returns the exit code."""
    return compare_images(*asked(invocation), invocation.request.options, invocation.console)


def compare_images(sides: Sequence[Named], opened: Opener, options: Mapping[str, Any], console: Console) -> int:
    """Compare two images, and say how they differ; returns the exit code."""
    with contextlib.ExitStack() as stack:
        found = compare(*(stack.enter_context(opened(named)) for named in sides))
    console.close()
    form, verbose = options["form"], bool(options.get("verbose"))
    if form == "json":
        sys.stdout.write(difference_json(found))
    elif form == "markdown":
        sys.stdout.write(harmless(difference_markdown(found)))
    else:
        sys.stdout.write(in_lines(difference_lines(found, verbose=verbose)))
    return 1 if options.get("exit_code") and not found.same else 0
