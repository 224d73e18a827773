"""Why something could not be fetched."""

from __future__ import annotations

from .secret import hide

UNREACHABLE = "unreachable"  # no answer, or none that helps, after all tries
REFUSED = "refused"  # 401, 403, 407: no credentials, wrong ones, expired ones
MISSING = "missing"  # 404, 410
WRONG = "wrong"  # other bytes than there must be
NO_SPACE = "no space"
UNWRITABLE = "unwritable"
UNUSABLE = "unusable"  # the source or what it answers makes no sense
STOPPED = "stopped"


class Failure(Exception):
    """`reason` is one of the words above; the text is lower case; `hint` is the way out. Neither holds a credential.

    `retry` says that the same request may do better later, in `wait` seconds where the server said so.
    """

    def __init__(
        self, reason: str, text: str, *, hint: str | None = None, retry: bool = False, wait: float | None = None
    ) -> None:
        text = hide(text)
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.hint = hint and hide(hint)
        self.retry = retry
        self.wait = wait
