"""Who an image runs as, where its base knows nobody of that number: a name, a home, and variables that say so.

Without them `getpass.getuser()` raises, and what writes to HOME has nowhere to. Formats: passwd(5), group(5); OCI image
specification 1.1, config.md, "User".
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildrules.actions.debian.generated import account_files, knows
from buildrules.locking.locks import LockedBase
from buildrules.oci import recipe as recipes
from buildrules.rules.package import PackageParts

NAME = "app"
HOME = f"/home/{NAME}"

_NUMBERS = re.compile(r"(\d{1,10})(?::(\d{1,10}))?", re.ASCII)


class Account(NamedTuple):
    """The parts of a layer, and variables of the image; both empty where the base knows the user."""

    parts: list[dict[str, Any]]
    variables: Mapping[str, str]


def account_of(parts: PackageParts, base: LockedBase) -> Account:
    """What an image needs for its user. A name is looked up in the image when it starts, and needs nothing.

    Of somebody else's image nobody knows who is in it: its files stay as they are, and variables speak for them. Where
    the package itself names the user it has a home of its own, else the one folder that is everybody's.
    """
    numbers = _NUMBERS.fullmatch(parts.user or "")
    if numbers is None or int(numbers[1]) == 0 or (base.lowest.lock is not None and knows(int(numbers[1]))):
        return Account([], {})
    uid = int(numbers[1])
    owned = uid <= recipes.LARGEST_OWNER
    laid = [recipes.directory(HOME[1:], 0o775 if owned else 0o1777, owner=uid if owned else 0)]
    if base.lowest.lock is None and not parts.package.values["user"]:
        laid = []
    variables = {}
    said = parts.environment()
    if said.get("HOME") == parts.base_part.environment.get("HOME") and "HOME" not in base.variables:
        variables["HOME"] = HOME if laid else "/tmp"  # noqa: S108  of the image
    if base.lowest.lock is not None:
        texts = account_files([(NAME, uid, int(numbers[2] or uid))])
        laid += [recipes.inline(path, text) for path, text in texts.items()]
    else:
        variables |= {name: NAME for name in ("USER", "LOGNAME") if name not in {**base.variables, **said}}
    return Account(laid, variables)
