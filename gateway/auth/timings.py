"""How long links and sessions last, and how long callers wait: what people are promised about signing in."""

from datetime import timedelta

import msgspec


class SessionTimings(msgspec.Struct, frozen=True):
    """How long a session lasts."""

    idle_life: timedelta = timedelta(hours=12)
    """It ends when nobody used it for so long: a working day, but not a night on a lost machine."""
    life: timedelta = timedelta(days=7)
    """It ends then, however much it is used."""
    last_seen_lag: timedelta = timedelta(minutes=1)
    """How far its `last_seen_at` may lag: most pages then need no write."""
    noted: timedelta = timedelta(minutes=10)
    """In which the activity has ten sign-ins of a user: more than a person makes, and next to nothing on the disk."""


class AuthTimings(msgspec.Struct, frozen=True):
    """All timings of the room."""

    session: SessionTimings = SessionTimings()
    link_life: timedelta = timedelta(hours=24)
    """Of a link to set a password with, or to visit: long enough for a mail, short enough for a forwarded one."""
    code_wait: timedelta = timedelta(minutes=5)
    """How long a sign-in waits for the code of a second factor: long enough to find the phone."""
    busy_retry: int = 2
    """Seconds until one comes back after a busy moment: one is enough to hash a password of each address that waits."""
    lookup_wait: float = 0.8
    """Seconds that an unknown key of a guessing address waits for its look-up; more would look like an outage."""
