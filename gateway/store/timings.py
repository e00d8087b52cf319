"""How long the store waits for what, and for how long it believes what it was told."""

from datetime import timedelta

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

    usage_flush: float = 30.0
    """Between two writings of last uses and usage counts: how far they may lag."""
    connect: float = 2.0
    """For a new connection to a server."""
    statement: float = 10.0
    """For a statement that nobody gave a shorter time."""
    migration: float = 600.0
    """For all tables at once, or one step that takes them to a newer version."""
    reconnect_pause: float = 0.25
    """Between attempts to reach a server that does not answer."""

    @property
    def answer(self) -> float:
        """The longest wait for a read, or for the server's word on the lock: a little more than for the lock.

        Behind another read that waits for a lock, a read must not wait that long all over again.
        """
        return self.write_lock + 0.25


STORE_TIMINGS = StoreTimings()


class RetentionTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How long rows are kept, and how often older ones are deleted."""

    triggers: timedelta = timedelta(days=90)
    usage: timedelta = timedelta(days=40)
    ended_keys: timedelta = timedelta(days=90)
    """After their end, with what is left of their usage."""
    activity: timedelta = timedelta(days=400)
    sync_days: timedelta = timedelta(days=400)
    """Thirteen months: a month can be compared with the same one a year before."""
    events: timedelta = timedelta(days=14)
    """With their deliveries to webhooks."""
    every: float = 86_400.0
    """Seconds between two deletions."""
    lease: float = 600.0
    """Seconds for which a gateway that deletes leads: longer than the deletions of one day take."""


RETENTION_TIMINGS = RetentionTimings()
