"""What `buildrules load` does once the package is built."""

import sys

from buildrules.cli.content import Content, one_image
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import size_text
from buildrules.oci.docker import LoadReport, load
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine


def load_image(invocation: Invocation, engine: Engine | None = None) -> tuple[Engine, LoadReport]:
    """Load the one built image into `engine`, or the usual one. Raises UsageError, DockerError, IntegrityError."""
    content = Content(invocation, one_image(invocation))
    engine = engine or connect()
    name = content.name()
    report = load(engine, content.image, [name], content.stream, store=invocation.store.root, progress=content.progress)
    invocation.console.close()
    return engine, report


def describe(report: LoadReport) -> str:
    """One line: the name and what had to be sent."""
    if report.sent == 0:
        return f"loaded {report.names[0]}: it was there already"
    count = len(report.sent_layers)
    line = f"loaded {report.names[0]}: sent {count} layer{'s' * (count != 1)}, {size_text(report.sent)}"
    if again := len(report.resent_layers):
        which = "all" if again == count else str(again)
        line += f" ({which} of them are there, but on top of other layers)" if count > 1 else ""
    if report.skipped_layers:
        line += f"; {len(report.skipped_layers)} layers, {size_text(report.skipped)}, were there already"
    return line


def after(invocation: Invocation) -> int:
    """Load and say what was sent; returns the exit code."""
    _, report = load_image(invocation)
    sys.stdout.write(describe(report) + "\n")
    return 0
