"""How wheels on conda packages are compiled: by conda's own Python, as this machine can run it."""

import re

from buildrules.actions.python.target import minor_of
from buildrules.errors import ResolutionError
from buildrules.locking.bytecode import LIBC, Part, debs, places_of
from buildrules.locking.conda.lock import PREFIX, CondaLock, places
from buildrules.locking.locks import Bytecode, LockedBase
from buildrules.oci import recipe
from buildrules.workspace.settings import Settings

_RUNS = re.compile(r"python|(lib)?expat|(lib)?zlib|lib(gcc|stdcxx)(-ng)?")


def bytecode(lock: CondaLock, here: CondaLock | None, libc: LockedBase, settings: Settings, root: str) -> Bytecode:
    """Of wheels on the packages of `lock`, by the Python of `here`, the same for this machine, on `libc`. Conda's own
    bytecode is kept.

    Raises ResolutionError where this machine has no equal interpreter.
    """
    if here is None or here.python != lock.python:
        raise ResolutionError(
            f"no bytecode is put beside its wheels: its Python is {lock.python}, and"
            f" {f'that of {here.platform} {here.python}' if here else 'it does not run on this machine'}"
        )
    minor = minor_of(here.python)
    packages = [one for one in here.packages if _RUNS.fullmatch(one.name)]
    (python,) = (one for one in packages if one.name == "python")
    parts: list[Part] = [
        recipe.conda(f"sha256:{one.sha256}", one.filename, PREFIX, minor if one.noarch else "", []) for one in packages
    ]
    parts += debs(libc.lowest, LIBC)
    runs = {"parts": parts, "program": f"{PREFIX}/bin/python{minor}"}
    found = {**places_of(libc.lowest, settings, root), **places(packages, root), "interpreter": runs}
    return Bytecode(f"CPython {python.version} (conda {python.build})", "", [], found, f"{PREFIX}/lib")
