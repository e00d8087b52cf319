"""Standard input, output and error as every command may rely on them, however the program was started."""

import io
import os
import sys
from fcntl import F_GETFL, fcntl
from typing import Any

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = range(3)
ENCODING_ERRORS = "backslashreplace"
"""A terminal that cannot show a letter shows its number."""


class _BestEffort(io.FileIO):
    """Loses what it cannot write. A result was printed before a message about it: a full disk must not undo it."""

    def write(self, data: Any, /) -> int:
        """Write, and return how much is done with: all, if it is lost."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_standard_streams() -> None:
    """Open what was closed, so that no other file gets its number, and have messages on standard error never fail.

    Whatever is printed to a closed standard output is an OSError, as on a full disk.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
        sys.stdin = open(STANDARD_INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115 - a number, for ever
    if sys.stdout is None:
        # For reading: each write is refused.
        os.open(os.devnull, os.O_RDONLY)
        sys.stdout = open(STANDARD_OUTPUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - see above
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ENCODING_ERRORS)
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    messages = io.BufferedWriter(_BestEffort(STANDARD_ERROR, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(messages, encoding, ENCODING_ERRORS, line_buffering=True)


def is_writable(stream: Any) -> bool:
    """Tell whether a stream is open for writing. One without a file always is."""
    try:
        flags = fcntl(stream.fileno(), F_GETFL)
    except io.UnsupportedOperation:
        return True
    return flags & os.O_ACCMODE != os.O_RDONLY
