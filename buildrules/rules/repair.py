"""What to write in place of a text that is no requirement (PEP 508): hints of errors."""

import re

from buildrules.credentials.redact import scrub

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
_OPTION = re.compile(r"--[a-z-]+|-[a-z]")
_BY_FILE = "options are read in requirements files: name one in `requirements_file`"
_INSTEAD = (
    (("-e", "--editable"), "leave the option out: of a project's folder a wheel is built"),
    (("-r", "--requirement"), "name the file in `requirements_file`"),
    (("-c", "--constraint"), "write what is in the file in `constraints`"),
    (("-i", "--index-url", "--extra-index-url"), "declare its address as a python_feed under workspace.connections"),
)


def without_variable(variable: re.Match[str]) -> str:
    """The way out for a match of VARIABLE."""
    return (
        f"write what ${{{variable[1]}}} stands for: a lock follows from the workspace, not from a machine's variables"
    )


def repair(text: str) -> str | None:
    """A guess at what was meant by a text that is no requirement."""
    if (option := _OPTION.match(text)) is not None:
        return next((hint for names, hint in _INSTEAD if option[0] in names), _BY_FILE)
    if (variable := VARIABLE.search(text)) is not None:
        return without_variable(variable)
    if ADDRESS.match(text):
        name = re.search(r"/([A-Za-z0-9._]+)-[^/]*\.(?:whl|tar\.gz|zip)(?:$|[?#\s])", text)
        return f"write {name[1] if name else 'NAME'} @ {scrub(text)}"
    if "\\" in text:
        return f"write it as {scrub(text).replace(chr(92), '/')}"
    match = re.fullmatch(r"([A-Za-z0-9._-]+(?:\[[^\]]*\])?)(?:\s*=\s*|\s+)([0-9][^\s=<>!~]*)", text)
    return f"write {match[1]}=={match[2]}" if match else None
