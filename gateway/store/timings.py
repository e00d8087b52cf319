"""How long the store waits for what, and for how long it believes what it was told."""

import msgspec

LIVE_SECONDS = 10.0
"""A gateway whose last heartbeat is older counts as dead, for every other gateway and for commands."""
FORGOTTEN_SECONDS = 86_400.0
"""The row of a gateway that was silent for so long is deleted: nobody asks for its number any more."""
MILLISECONDS = 1000
"""In a second. The tables `gateways` and `leases` count in them."""


class StoreTimings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that callers of one database rely on."""

    write_lock: float = 2.0
    """The longest wait for the write lock, for our own writes and other processes' together; then 503, come back."""
    stalled_transaction: float = 5.0
    """How long a gateway that stands still in its transaction keeps the others from writing, on a server."""
    poll: float = 2.0
    """Between two readings of a server's change counts: how late a change is learned whose notification was lost."""
    trust: float = 5.0
    """How long after a reading what caches hold is used: above two polls, so that one lost answer does no harm."""

    @property
    def answer(self) -> float:
        """The longest wait for a read, or for the server's word on the lock: a little more than for the lock.

        Behind another read that waits for a lock, a read must not wait that long all over again.
        """
        return self.write_lock + 0.25


STORE_TIMINGS = StoreTimings()
