"""How long the store waits for what, and for how long it believes what it was told."""

from datetime import timedelta

import msgspec

MILLISECONDS = 1000
"""In a second. The tables `gateways` and `leases` count in them."""


class StoreTimings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that callers of one database rely on."""

    write_lock: float = 2.0
    """The longest wait for the write lock, for our own writes and other processes' together; then 503, come back."""
    least_lock_wait: float = 0.1
    """The shortest wait for it, of who waited long for our own writes: our own reader lets a commit pass."""
    joining: float = 0.02
    """From its beginning, writes join a transaction. After that what waits behind a long one gets a transaction of its
    own, and so do other processes."""
    stalled_transaction: float = 5.0
    """How long a gateway that stands still in its transaction keeps the others from writing, on a server."""
    poll: float = 2.0
    """Between two readings of a server's change counts: how late a change is learned whose notification was lost."""
    trust: float = 5.0
    """How long after a reading what caches hold is used: above two polls, so that one lost answer does no harm."""

    live: float = 10.0
    """A gateway whose last heartbeat is older counts as dead, for every other gateway and for commands."""
    forgotten: float = 86_400.0
    """The row of a gateway that was silent for so long is deleted: nobody asks for its number any more."""
    wish_retry: int = 60
    """When there may be room again for another wish of a client's to cancel a job: wishes end with their jobs."""
    usage_flush: float = 30.0
    """Between two writings of last uses and usage counts: how far they may lag."""
    connect: float = 2.0
    """For a new connection to a server."""
    statement: float = 10.0
    """For a statement that nobody gave a shorter time."""
    migration: float = 600.0
    """For all tables at once, or one step that takes them to a newer version."""
    copy_pause: float = 0.05
    """Between two steps of the copy of a file, in which others write."""
    program_watch: float = 0.2
    """Between two words on the progress of a server's program."""
    reconnect_pause: float = 0.25
    """Between attempts to reach a server that does not answer."""

    @property
    def answer(self) -> float:
        """The longest wait for a read, or for the server's word on the lock: a little more than for the lock.

        Behind another read that waits for a lock, a read must not wait that long all over again.
        """
        return self.write_lock + 0.25


STORE_TIMINGS = StoreTimings(connect=10.0)
"""For whoever is not told otherwise, as commands are not: nobody else waits meanwhile."""


class RetentionTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How long rows are kept, and how often older ones are deleted."""

    triggers: timedelta = timedelta(days=90)
    usage: timedelta = timedelta(days=40)
    key_callers: timedelta = timedelta(days=30)
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
