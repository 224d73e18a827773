"""A server that is asked for in any version: whoever locks next gets another one."""

from collections.abc import Iterable

from buildrules.lints.finding import WARNING, Finding


def unpinned_server(requirements: Iterable[str], server: str) -> list[Finding]:
    """A finding for each requirement (PEP 508) of the rule `server` that takes any version at all."""
    found = []
    for text in requirements:
        wanted = text.partition(";")[0].partition("[")
        rest = wanted[2].partition("]")[2] if wanted[1] else wanted[0].strip()
        name = wanted[0].strip() if wanted[1] else rest
        if not any(sign in rest for sign in "<>=~!@"):
            found.append(
                Finding(
                    "unpinned_server",
                    WARNING,
                    f"the server '{server}' takes any version of '{name}': the next lock may bring another one",
                    hint=f'say which it was tried with, such as "{name}~=1.2"',
                )
            )
    return found
