"""Standard output and standard error, of which it is known at once that nobody reads them or that they are full."""

import contextlib
import os

from buildrules.errors import UnheardError
from buildrules.typed import Any, TextIO


class Output:
    """A stream that raises UnheardError where `stream` raises OSError: a file's error would look the same.

    On a terminal it gives lines their colours.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = False
        self._begun = False  # a line, of which more is to come
        if stream.isatty():
            from buildrules.cli.colour import wanted

            self._colours = wanted(stream, os.environ)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of the stream. Raises UnheardError."""
        shown = text
        if self._colours and text:
            from buildrules.cli.colour import coloured, is_begun

            shown = coloured(text, begun=self._begun)
            self._begun = is_begun(text, begun=self._begun)
        try:
            return self._stream.write(shown)
        except (
            UnicodeEncodeError
        ) as error:  # of a name that is no text, or what the reader's encoding has no letter for
            return self._stream.write(shown.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except OSError as error:
            raise unheard(self._stream, error) from error

    def flush(self) -> None:
        """As of the stream. Raises UnheardError."""
        try:
            self._stream.flush()
        except OSError as error:
            raise unheard(self._stream, error) from error


def unheard(stream: TextIO, error: OSError) -> UnheardError:
    """The error to raise for `error` of `stream`, which leads nowhere from now on: Python writes to it at its end."""
    with contextlib.suppress(OSError):  # a stream that is no file has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return UnheardError((error.strerror or str(error)).lower(), closed=isinstance(error, BrokenPipeError))
