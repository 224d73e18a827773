"""One requirement: what is asked for, who asks, and where it is written."""

import os
import re
from dataclasses import dataclass

from buildrules.credentials.redact import scrub
from buildrules.errors import LoadError, Position

_LOCAL_ENDINGS = (".whl", ".tar.gz", ".zip")
_PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
_FORBIDDEN = re.compile(r"[\0\r\n]")


@dataclass(frozen=True, slots=True)
class Requirement:
    """`text` is PEP 508, or for a file or folder of the workspace its workspace-relative path.

    `name` is the normalised distribution name ("" for a folder, which nobody has asked for its name
    yet). `hashes` (sha256:<hex>) are what the locked file must be one of, where any are given. `asker` says who asks:
    "the environment //a:b", "the server azureml_online".
    """

    text: str
    name: str
    position: Position | None = None
    asker: str = ""
    hashes: tuple[str, ...] = ()
    local: bool = False
    conda: str = ""  # the conda package it was made from, where its name may be a guess

    def line(self, root: str) -> str:
        """As a line of a requirements file for uv; `root` is the absolute workspace root."""
        return os.path.join(root, self.text) if self.local else self.text

    def describing_files(self, root: str) -> list[str]:
        """Workspace-relative files that name its dependencies; those of a folder may be missing. None if not local."""
        if not self.local:
            return []
        if os.path.isdir(os.path.join(root, self.text)):
            return [os.path.normpath(os.path.join(self.text, name)) for name in _PROJECT_FILES]
        return [self.text]

    def where(self) -> str:
        """Who asks and where, for an error: "the environment //a:b (a/conda.yaml:7:5)"."""
        place = f"{self.position}" if self.position else ""
        return f"{self.asker} ({place})" if self.asker and place else self.asker or place or "the requirements"


@dataclass(frozen=True, slots=True)
class Written:
    """Where a requirement is written: workspace root (absolute), folder in it, place, and what goes with it."""

    root: str
    folder: str
    position: Position | None = None
    asker: str = ""
    hashes: tuple[str, ...] = ()
    conda: str = ""


def parse(text: str, written: Written) -> Requirement:
    """One requirement of a list or file.

    A wheel, source archive or project folder of the workspace is given by its path: `./wheels/a-1.0-py3-none-any.whl`.
    Raises LoadError with the position on anything that is not PEP 508 or that cannot be locked.
    """
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Parsed
    from packaging.utils import canonicalize_name

    text, position = text.strip(), written.position
    if _FORBIDDEN.search(text):
        raise LoadError(f"requirement {scrub(text)!r} holds a line break or NUL", position=position)
    if text.startswith(("./", "../", "/")) or (text.endswith(_LOCAL_ENDINGS) and "@" not in text):
        return _local(text, written)
    try:
        parsed = Parsed(text)
    except InvalidRequirement as error:
        reason = scrub(str(error).partition("\n")[0])
        raise LoadError(
            f"{scrub(text)!r} is not a requirement: {reason}", position=position, hint=repair(text)
        ) from None
    if parsed.url:
        _check_url(parsed.name, parsed.url, position)
    name = canonicalize_name(parsed.name)
    return Requirement(str(parsed), name, position, written.asker, written.hashes, conda=written.conda)


def _check_url(name: str, url: str, position: Position | None) -> None:
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise LoadError(
            f"requirement {name!r} is fetched by {scheme!r}, which has no fixed content to lock",
            position=position,
            hint=_released(name, url),
        )
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise LoadError(
            f"requirement {name!r} has credentials in its url",
            position=position,
            hint="take them out of the url and put them in ~/.netrc",
        )


def _local(text: str, written: Written) -> Requirement:
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    position = written.position
    path = workspace_path(text, written.root, written.folder, position)
    place = os.path.join(written.root, path)
    if os.path.isdir(place):
        if not any(os.path.exists(os.path.join(place, name)) for name in ("pyproject.toml", "setup.py")):
            raise LoadError(f"folder {path!r} has neither a pyproject.toml nor a setup.py", position=position)
        return Requirement(path, "", position, written.asker, written.hashes, local=True)
    if not os.path.isfile(place):
        raise LoadError(f"requirement {text!r}: there is no {path!r}", position=position)
    filename = os.path.basename(path)
    try:
        name = parse_wheel_filename(filename)[0] if path.endswith(".whl") else parse_sdist_filename(filename)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        raise LoadError(f"{path!r} is not named as a wheel or source archive must be", position=position) from None
    return Requirement(path, name, position, written.asker, written.hashes, local=True)


def workspace_path(text: str, root: str, folder: str, position: Position | None) -> str:
    """The workspace-relative path of `text`, which is written in `folder`. Raises LoadError where it leaves."""
    if "\0" in text:
        raise LoadError(f"{text!r} is no path: it holds NUL", position=position)
    base = os.path.realpath(root)
    place = os.path.realpath(os.path.join(base, folder, text))
    if os.path.isabs(text) or (place != base and not place.startswith(base + os.sep)):
        raise LoadError(
            f"{text!r} leaves the workspace", position=position, hint="copy it into the workspace, and name it by path"
        )
    return os.path.relpath(place, base).replace(os.sep, "/")


def repair(text: str) -> str | None:
    """A guess at what was meant by a text that is no requirement."""
    if _VCS.match(text):
        name = re.search(r"#(?:.*&)?egg=([A-Za-z0-9._-]+)", text)
        return _released(name[1] if name else "NAME", text)
    match = re.fullmatch(r"([A-Za-z0-9._-]+(?:\[[^\]]*\])?)\s*=\s*([0-9][^=<>!~]*)", text)
    return f"write {match[1]}=={match[2]}" if match else None


_VCS = re.compile(r"(?:git|hg|svn|bzr)\+")
_GITHUB = re.compile(r"git\+(?:https|ssh)://(?:git@)?github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?(?:@([\w./-]+))?(?:#.*)?$")


def _released(name: str, url: str) -> str:
    """The way out for what a version control system would bring: of GitHub, the archive of the same commit."""
    found = _GITHUB.match(url)
    otherwise = "build a wheel and give its path, or use a released version"
    if found is None:
        return otherwise
    return f"write {name} @ https://github.com/{found[1]}/archive/{found[2] or 'COMMIT'}.tar.gz; or {otherwise}"
