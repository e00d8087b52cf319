"""How long links and sessions last, and how long callers wait: what people are promised about signing in."""

from datetime import timedelta

LINK_LIFE = timedelta(hours=24)
"""Of a link to set a password with, or to visit: long enough for a mail, short enough for a forwarded one."""

SESSION_IDLE_LIFE = timedelta(hours=12)
"""A session ends when nobody used it for so long: a working day, but not a night on a lost machine."""
SESSION_LIFE = timedelta(days=7)
"""A session ends then, however much it is used."""
LAST_SEEN_LAG = timedelta(minutes=1)
"""How far a session's `last_seen_at` may lag: most pages then need no write."""

BUSY_RETRY_SECONDS = 2
"""When to come back after a busy moment: a second is enough to hash one password of each address that waits."""
LONGEST_LOOKUP_WAIT_SECONDS = 0.8
"""How long an unknown key of a guessing address waits for its look-up; more would look like an outage."""
