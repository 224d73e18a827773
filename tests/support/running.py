"""A workspace whose package says what its variables are and what lies in its folders, to be run in an engine."""

import os
import socket
from pathlib import Path

from tests.support.package_tests import START
from tests.support.space import Space, make_base

SERVER = """\
rule: cgi
provides: server
summary: Says what its variables are, and what lies in its folders.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/cgi-bin}
image:
  entrypoint: [/bin/busybox, sh, /srv/cgi-bin/start.sh]
  ports: [PORT]
routes: {readiness: PORT/model/weights/labels.txt, scoring: PORT/cgi-bin/score}
"""
SCORE = "#!/bin/busybox sh\necho 'Content-Type: text/plain'\necho\n/bin/busybox env\n/bin/busybox cat /srv/data/*\n"


def running_space(folder: Path, wheels: Path, busybox: bytes) -> Space:
    """Made in `folder`, under a name and with a port that nobody else has; `data/one.txt` waits to be mounted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    space = Space(folder, wheels).populate(base=False)
    space.name = f"buildrules-test-{os.urandom(4).hex()}"
    make_base(space.path("base"), files={"bin/busybox": busybox}, mode=0o755)
    space.edit("BUILD.yaml", "name: acme", f"name: {space.name}")
    space.edit("BUILD.yaml", "//rules:tiny", "//rules:cgi")
    space.edit("BUILD.yaml", ", entry_script: score.py}", "}")
    space.write("rules/cgi.yaml", SERVER.replace("PORT", port))
    space.write("src/score", SCORE, mode=0o755)
    space.write("src/start.sh", START.replace("8080", port))
    space.write("data/one.txt", "one\n")
    return space
