"""How calls to Airbyte are doing in this process, for those who watch it."""

import msgspec


class CallFigures(msgspec.Struct, frozen=True):
    """What holds now; the last two count since the process began."""

    permits: int
    in_flight: int
    waiting: int
    """For a permit."""
    is_open: bool
    """Whether calls are stopped because Airbyte as a whole fails."""
    open_clients: int
    """How many clients' own calls are stopped, because they alone fail."""
    is_credential_refused: bool
    without_permit: int
    """Calls that got no permit in time."""
    stopped: int
    """Calls that were not made while Airbyte, or what the client asks for, fails."""
    has_answered: bool
    """Whether Airbyte has given a good answer since the process began."""
    failing_seconds: float
    """For how long no call has had a good answer, from the first that had none; 0 since the last good one."""
