"""Where a job list goes on, as a text that clients pass on unchanged.

A `Cursor` is an offset and the last job shown, for syncs of one connection. A `Position` is the second and the id of
the last job shown, for lists of other types; `cursor_seal.py` seals it for the jobs of all connections.
"""

import re
from datetime import UTC, datetime
from typing import Self

import msgspec

from gateway.errors import BadRequest, PageNotFound

INVALID_CURSOR = "Invalid cursor: pass the one from the Link header unchanged"
CURSOR_PATTERN = "[0-9]{1,9}[.][0-9]{1,19}"
"""Every text that it matches is a cursor: whoever reads the pattern in our documentation may count on that."""
POSITION_PATTERN = "[0-9]{1,10}-[0-9]{1,19}"
_CURSOR = re.compile(CURSOR_PATTERN)
_POSITION = re.compile(POSITION_PATTERN)
LARGEST_ID = 2**63 - 1


class Cursor(msgspec.Struct, frozen=True):
    """The next page starts `offset` jobs into Airbyte's list; `last_job_id` was the last one shown."""

    offset: int
    last_job_id: int

    def encode(self) -> str:
        """Return the text for a link, which needs no escaping."""
        return f"{self.offset}.{self.last_job_id}"


def decode_cursor(text: str) -> Cursor:
    """Return the cursor that was encoded as `text`. Raises BadRequest; PageNotFound for a position."""
    if _CURSOR.fullmatch(text) is None:
        raise PageNotFound if _POSITION.fullmatch(text) else BadRequest(INVALID_CURSOR)
    offset, _, last_job_id = text.partition(".")
    return Cursor(int(offset), int(last_job_id))


class Position(msgspec.Struct, frozen=True):
    """The next page has what is older than the job `job_id` of the `second` since 1970."""

    second: int
    job_id: int

    @classmethod
    def before(cls, moment: datetime) -> Self:
        """Return the position from which all that was created before a whole second is older."""
        return cls(int(moment.timestamp()) - 1, LARGEST_ID)

    @property
    def until(self) -> datetime:
        """The end of the second: Airbyte compares microseconds and shows seconds."""
        return datetime.fromtimestamp(self.second + 1, UTC)

    @property
    def order(self) -> tuple[int, int]:
        """What to compare positions by: jobs are shown from the largest down."""
        return self.second, self.job_id

    def encode(self) -> str:
        """Return the text for a link, which needs no escaping."""
        return f"{self.second}-{self.job_id}"


def decode_position(text: str) -> Position:
    """Return the position that was encoded as `text`. Raises BadRequest; PageNotFound for another list's cursor."""
    if _POSITION.fullmatch(text) is None:
        raise PageNotFound if _CURSOR.fullmatch(text) else BadRequest(INVALID_CURSOR)
    second, _, job_id = text.partition("-")
    return Position(int(second), int(job_id))
