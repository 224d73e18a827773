"""What tags and annotations are called after: the version, the commit, the branch, the day. No layer knows of them."""

import os
import re
import time
from collections.abc import Mapping

from buildrules.errors import UsageError
from buildrules.oci.names import TAG
from buildrules.revisions.git import Running

_FIELD = re.compile(r"\{([^{}]*)\}")
_BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BUILD_SOURCEBRANCHNAME", "BRANCH_NAME")
"""Where services that build a commit, and no branch, say the branch."""
LONGEST = 128  # characters of a tag


class Stamps:
    """The values of one command. git is asked at most once for each."""

    def __init__(self, root: str, environment: Mapping[str, str] = os.environ) -> None:
        self._root = root
        self._environment = environment
        self._known: dict[str, str] = {}

    def fill(self, template: str, version: str) -> str:
        """`template` with the values for its fields. Raises UsageError for a field there is not, or without a value."""
        return _FIELD.sub(lambda found: self._value(found[1], template, version), template)

    def tag(self, template: str, version: str) -> str:
        """The same as a tag: what a tag cannot hold in a value, such as the slash of a branch, is a minus.

        Raises UsageError where the template itself is none.
        """
        bare = _FIELD.sub("x", template)
        if not TAG.fullmatch(bare):
            hint = "it has letters, digits and '_.-', at most 128, and does not begin with '.' or '-'"
            raise UsageError(f"{template!r} is not a tag", hint=hint)
        text = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.fill(template, version)).lstrip(".-")[:LONGEST]
        if not text:
            raise UsageError(f"the tag {template!r} is empty")
        return text

    def _value(self, name: str, template: str, version: str) -> str:
        if name == "version":
            return version
        ways = {"git.sha": self._sha, "git.branch": self._branch, "date": self._date}
        if name not in ways:
            known = ", ".join(f"{{{one}}}" for one in ("version", *ways))
            raise UsageError(f"{template!r} has the field {{{name}}}, which there is not", hint=f"there are {known}")
        if name not in self._known:
            self._known[name] = ways[name]()
        return self._known[name]

    def _sha(self) -> str:
        """The commit, `-dirty` where files that git knows are others."""
        sha = self._git("git.sha", "rev-parse", "HEAD")
        changed = self._git("git.sha", "status", "--porcelain", "--untracked-files=no")
        return f"{sha}-dirty" if changed else sha

    def _branch(self) -> str:
        name = self._git("git.branch", "rev-parse", "--abbrev-ref", "HEAD")
        if name != "HEAD":
            return name
        for variable in _BRANCHES:
            if self._environment.get(variable):
                return self._environment[variable]
        raise UsageError(
            "there is no {git.branch}: a commit is checked out, and no branch", hint="use {git.sha}, or git switch"
        )

    def _date(self) -> str:
        """The day in UTC."""
        try:
            now = float(self._environment.get("SOURCE_DATE_EPOCH") or time.time())
            return time.strftime("%Y-%m-%d", time.gmtime(now))
        except (ValueError, OverflowError, OSError) as error:
            raise UsageError("SOURCE_DATE_EPOCH is not a number of seconds") from error

    def _git(self, field: str, *words: str) -> str:
        try:
            code, out, said = Running(self._root, words).end()
        except UsageError as error:
            raise UsageError(f"there is no {{{field}}}: {error.message}") from error
        if code:
            last = (said.splitlines() or ["it failed"])[-1]
            raise UsageError(f"there is no {{{field}}}: {last}", hint="it needs a git repository with a commit")
        return out.decode("utf-8", "replace").strip()
