"""Where a job list goes on: an opaque text for clients, an offset and the last job shown for us."""

import base64
import binascii
import re

import msgspec

from gateway.errors import BadRequest

INVALID_CURSOR = "Invalid cursor: pass the one from the Link header unchanged"
_CONTENT = re.compile(rb"([0-9]{1,9})\.([0-9]{1,19})")


class Cursor(msgspec.Struct, frozen=True):
    """The next page starts `offset` jobs into Airbyte's list; `last_job_id` was the last one shown."""

    offset: int
    last_job_id: int

    def encode(self) -> str:
        """Return the text for a link, which needs no escaping."""
        return base64.urlsafe_b64encode(b"%d.%d" % (self.offset, self.last_job_id)).rstrip(b"=").decode("ascii")


def decode_cursor(text: str) -> Cursor:
    """Return the cursor that was encoded as `text`. Raises BadRequest if none was."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    match = _CONTENT.fullmatch(content)
    if match is None:
        raise BadRequest(INVALID_CURSOR)
    return Cursor(int(match[1]), int(match[2]))
