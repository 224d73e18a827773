"""What `buildrules export` does once the package is built."""

import os
import shlex
import sys

from buildrules.cli.content import Content, one_image
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import size_text
from buildrules.oci.archive import write_archive
from buildrules.oci.layout import ref_name, write_layout

_TRANSPORTS = {"oci-layout": "oci", "oci-archive": "oci-archive", "docker-archive": "docker-archive"}


def after(invocation: Invocation) -> int:
    """Write the image and say how much was written; returns the exit code."""
    form = str(invocation.request.option("form"))
    result = one_image(invocation)
    indexes = [found for found in invocation.results if found.goal.kind == "index"]
    if form != "docker-archive" and indexes:  # a docker archive holds one platform's image: this machine's
        (result,) = indexes
    content = Content(invocation, result)
    output = os.path.abspath(str(invocation.request.option("output")))
    names = [content.name()]
    if form == "oci-layout":
        report = write_layout(output, content.whole, content.stream, names=names, progress=content.progress)
        text = f"{report.blobs_written} blobs, {size_text(report.written)} written; {report.blobs_kept} were there"
    else:
        size = write_archive(
            output,
            content.whole,
            content.stream,
            names=names,
            docker=form == "docker-archive",
            progress=content.progress,
        )
        text = f"{size_text(size)} written"
    invocation.console.close()
    sys.stdout.write(f"{form} {output}: {names[0]} {content.result.digest}\n{text}\n")
    sys.stdout.write(f"copy it on with: {copy_line(form, output, names[0], several=bool(indexes))}\n")
    return 0


def copy_line(form: str, output: str, name: str, *, several: bool = False) -> str:
    """The command that takes the image, or those of `several` platforms, from there to a registry to be filled in."""
    source = f"{_TRANSPORTS[form]}:{output}"
    if form == "oci-layout":
        source += f":{ref_name(name)}"
    first, _, rest = name.partition("/")
    named = rest and ("." in first or ":" in first or first == "localhost")
    copy = "skopeo copy --all" if several and form != "docker-archive" else "skopeo copy"
    return f"{copy} {shlex.quote(source)} docker://{name if named else 'HOST/' + name}"
