"""Which commit a revision is."""

from buildrules.errors import UsageError
from buildrules.revisions.git import Running, git


def commit_of(root: str, revision: str) -> str:
    """The commit (hex) that `revision` names in the repository of the directory `root`.

    `REV...` is where HEAD and REV parted. Raises UsageError where there is no such commit here, and says so where the
    repository is a shallow clone.
    """
    if revision.endswith("..."):
        base = commit_of(root, revision[:-3])
        code, out, said = Running(root, ["merge-base", "HEAD", base]).end()
        if code:
            raise _unknown(root, f"git finds no commit that HEAD and '{revision[:-3]}' have in common", said)
        return out.decode().strip()
    code, out, said = Running(root, ["rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"]).end()
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
