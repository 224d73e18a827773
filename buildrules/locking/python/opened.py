"""Files of this machine that build back ends read by absolute paths while requirements are resolved.

A back end is given a copy of its project. What else it reads is no part of the workspace, and a lock made on another
machine may be another. An audit hook (PEP 578) in the interpreters that uv starts writes down what they open.
"""

import os

from buildrules.state.location import store_root

_HOOK = """\
import os, sys
def note(event, values, log=os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), known=set()):
    if event == "open" and isinstance(values[0], str) and values[0][:1] == "/" and not (values[2] or 0) & os.O_ACCMODE:
        if not values[0].startswith((sys.prefix, sys.base_prefix)) and values[0] not in known:
            known.add(values[0])
            os.write(log, os.fsencode(values[0]) + b"\\0")
sys.addaudithook(note)
"""
_SYSTEM = tuple(
    f"/{name}/" for name in ("bin", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr", "var")
)


class Opened:
    """What back ends open; `folder` (absolute, private) takes the hook and what it writes."""

    def __init__(self, folder: str) -> None:
        self._folder, self._log = folder, os.path.join(folder, "opened")
        os.makedirs(os.path.join(folder, "hook"), exist_ok=True)
        with open(os.path.join(folder, "hook", "sitecustomize.py"), "w", encoding="utf-8") as file:
            file.write(_HOOK.format(log=self._log))

    def environment(self) -> dict[str, str]:
        """The variables that make interpreters write down what they open, but for those that uv isolates."""
        return {"PYTHONPATH": os.path.join(self._folder, "hook")}

    def told(self) -> list[str]:
        """For people: the files that were read and belong to this machine alone."""
        if not os.path.exists(self._log):
            return []
        with open(self._log, "rb") as file:
            names = sorted({os.path.realpath(os.fsdecode(name)) for name in file.read().split(b"\0") if name})
        own = tuple(
            f"{os.path.realpath(one)}/" for one in (self._folder, os.environ.get("UV_CACHE_DIR") or store_root())
        )
        return [
            f"a project that is installed reads {name!r}, which is of this machine: on another the lock may be another"
            for name in names
            if os.path.isfile(name) and not name.startswith((*_SYSTEM, *own))
        ]
