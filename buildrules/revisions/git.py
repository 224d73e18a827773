"""Runs git to read a repository. On the short path of `affected`: imports nothing but `os`.

What a repository configures and reading does not need is not run: no hooks, no file system monitors, no programs that
show differences. Filters of content (Git LFS, line ends) are: what git takes for changed depends on them.
"""

import os

from buildrules.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS = {
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "core.hooksPath": "/dev/null",
    "core.fileMode": "true",  # a build sees modes and line ends as they are
    "core.autocrlf": "false",
}
_OPTIONS = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
_ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "IMPLICIT_WORK_TREE", "COMMON_DIR", "INDEX_FILE", "PREFIX", "NAMESPACE", "SHALLOW_FILE"),
        *("OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "GRAFT_FILE", "REPLACE_REF_BASE", "CONFIG_PARAMETERS"),
        *("GLOB_PATHSPECS", "NOGLOB_PATHSPECS", "ICASE_PATHSPECS"),
    )
)
"""Variables by which git looks at another repository than that of its directory; hooks have them (git-rev-parse(1),
--local-env-vars)."""


class Running:
    """A git that was started in a directory. What it writes is kept by the kernel, so no pipe can fill up."""

    def __init__(self, directory: str, arguments: "Sequence[str]", given: bytes = b"") -> None:
        """Raises UsageError where there is no git."""
        self._said = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        os.pwrite(self._said[0], given, 0)
        actions = [(os.POSIX_SPAWN_DUP2, handle, number) for number, handle in enumerate(self._said)]
        kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        env = {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        words = ["git", "-C", directory, "--literal-pathspecs", *_OPTIONS, *arguments]
        try:
            self._process = os.posix_spawnp("git", words, env, file_actions=actions)
        except OSError as error:
            self._close()
            raise UsageError("git cannot be started", hint="install git; revisions are read with it") from error

    def end(self) -> tuple[int, bytes, str]:
        """Wait for it: (exit code, what it wrote, what it said of errors)."""
        try:
            _, status = os.waitpid(self._process, 0)
            _, out, said = (os.pread(handle, os.fstat(handle).st_size, 0) for handle in self._said)
        finally:
            self._close()
        return os.waitstatus_to_exitcode(status), out, said.decode("utf-8", "replace").strip()

    def output(self) -> bytes:
        """What it wrote. Raises UsageError with git's own words where it failed."""
        code, out, said = self.end()
        if code:
            bare = "must be run in a work tree" in said
            hint = "the repository is bare (core.bare): ask in a clone of it, or in a `git worktree`" if bare else None
            raise UsageError(f"git: {said.removeprefix('fatal: ') or f'it ended with {code}'}", hint=hint)
        return out

    def _close(self) -> None:
        for handle in self._said:
            os.close(handle)


def git(directory: str, *arguments: str, given: bytes = b"") -> bytes:
    """What git says to `arguments` in a directory, `given` on standard input. Raises UsageError where it fails."""
    return Running(directory, arguments, given).output()


def words(output: bytes) -> list[str]:
    """What git wrote with `-z`: text that ends in NUL, as paths are in Python."""
    return os.fsdecode(output).split("\0")[:-1]


def commit_of(root: str, revision: str) -> str:
    """The commit (hex) that `revision` names in the repository of the directory `root`.

    `REV...` is where HEAD and REV parted. Raises UsageError for other ranges, and where there is no such commit here;
    says so where the repository is a shallow clone.
    """
    if revision.endswith("..."):
        base = commit_of(root, revision[:-3])
        code, out, said = Running(root, ["merge-base", "HEAD", base]).end()
        if code:
            raise _unknown(root, f"git finds no commit that HEAD and '{revision[:-3]}' have in common", said)
        return out.decode().strip()
    code, out, said = Running(root, ["rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"]).end()
    if (code and ".." in revision) or out.startswith(b"^"):
        start = revision.strip("^").partition("..")[0] or "main"
        raise UsageError(
            f"'{revision}' is a range, and here one revision is named: all since then counts",
            hint=f"'{start}...' is where HEAD and {start} parted",
        )
    if code:
        raise _unknown(root, f"there is no revision '{revision}' here", said)
    return out.decode().strip()


def _unknown(root: str, message: str, said: str) -> UsageError:
    if "not a git repository" in said or "dubious ownership" in said:
        return UsageError(f"'{root}' is in no git repository that can be read", hint=said.removeprefix("fatal: "))
    if git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
        return UsageError(
            f"{message}: this is a shallow clone",
            hint="run `git fetch --unshallow`; of actions/checkout ask `fetch-depth: 0`, of GitLab `GIT_DEPTH: 0`",
        )
    return UsageError(message, hint="`git fetch` brings what others have; `git log --all` lists what is here")
