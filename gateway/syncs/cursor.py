"""Where a job list goes on: an offset and the last job shown, as a text that clients pass on unchanged."""

import re

import msgspec

from gateway.errors import BadRequest

INVALID_CURSOR = "Invalid cursor: pass the one from the Link header unchanged"
CURSOR_PATTERN = "[0-9]{1,9}[.][0-9]{1,19}"
"""Every text that it matches is a cursor: whoever reads the pattern in our documentation may count on that."""
_CURSOR = re.compile(CURSOR_PATTERN)


class Cursor(msgspec.Struct, frozen=True):
    """The next page starts `offset` jobs into Airbyte's list; `last_job_id` was the last one shown."""

    offset: int
    last_job_id: int

    def encode(self) -> str:
        """Return the text for a link, which needs no escaping."""
        return f"{self.offset}.{self.last_job_id}"


def decode_cursor(text: str) -> Cursor:
    """Return the cursor that was encoded as `text`. Raises BadRequest if none was."""
    if _CURSOR.fullmatch(text) is None:
        raise BadRequest(INVALID_CURSOR)
    offset, _, last_job_id = text.partition(".")
    return Cursor(int(offset), int(last_job_id))
