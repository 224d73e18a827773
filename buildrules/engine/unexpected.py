"""What is said of an exception that nobody foresaw: the mistake of a plugin, or of buildrules itself."""

import os

from buildrules.errors import UnexpectedError

_LONGEST = 300  # signs of an exception's own text
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def unexpected(error: Exception, what: str, root: str, hint: str | None = None) -> UnexpectedError:
    """`what` failed with `error`: the error to show. Paths below the workspace `root` are shown relative to it."""
    from buildrules.credentials.redact import scrub

    said = " ".join(str(error).split())[:_LONGEST]
    told = type(error).__name__ + (f": {said}" if said else "")
    where = _place(error, root)
    message = f"{what} failed unexpectedly: {told}" + (f" ({where})" if where else "")
    return UnexpectedError(scrub(message), scrub(_traceback(error)), hint=hint)


def _traceback(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _place(error: Exception, root: str) -> str:
    """File and line of the innermost frame that is the workspace's or ours: a library's own says less."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        for folder in filter(None, (root, os.path.dirname(_HERE))):
            inside = path.removeprefix(folder.rstrip("/") + "/")
            if inside != path and "site-packages" not in inside:
                found = f"{inside}:{trace.tb_lineno}"
                break
        trace = trace.tb_next
    return found
