"""The page: one file without anything from elsewhere, that shows a report.

Everything that comes from a workspace is data in it, and no markup: a block of JSON that no browser executes (HTML,
4.12.1, "data block"), shown as text only. Its Content-Security-Policy (level 3) lets nothing run or load but the styles
and scripts with these digests.
"""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

TREEMAP, LICENSE = "d3-hierarchy.min.js", "d3-hierarchy.LICENSE"
"""Made by others, as npm has it: version 3.1.3. Its licence (ISC) goes where it goes."""

SCRIPTS = ("data", "dom", "table", "canvas", "graph", "treemap", "timeline", "details", "views", "main")
"""Ours, in an order in which each finds what it needs."""


def page(data: dict[str, Any]) -> str:
    """The page that shows the report `data`."""
    folder = files("buildrules.report") / "page"

    def text(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    style = text("report.css")
    ours = "".join(text(f"{name}.js") for name in SCRIPTS)
    script = f"/*\n{text(LICENSE)}*/\n{text(TREEMAP)}(() => {{\n{ours}}})();"
    values = {
        "policy": f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "data": encoded(data).replace("<", "\\u003c"),  # so no tag and no comment begins or ends in it
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: values[mark[1]], text("report.html"))


def encoded(data: dict[str, Any]) -> str:
    """A report as JSON, in ASCII, each row of its tables in a line."""
    return json.dumps(data, separators=(",", ":"))


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
