"""How long calls to Airbyte may take, how long we leave it alone after a failure, and how long a token lives."""

import msgspec


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds from the beginning to the last byte; `connect` within them, `permit` before them.

    A trigger has long: Airbyte itself may wait 60 s for a new job. `reconcile`: a trigger's look at the job list.
    """

    read: float = 15.0
    trigger: float = 70.0
    reconcile: float = 10.0
    token: float = 10.0
    config: float = 3.0
    """For the Config API, with the wait for a permit: an answer waits no longer for what it can do without."""
    config_call: float = 2.5
    """Of these, for Airbyte alone, so that it is known whose time it was."""
    connect: float = 3.0
    permit: float = 6.0
    """For a permit of the bulkhead, and as long again for one of the cluster's. It is three of Airbyte's slow answers:
    in that time each of some clients gets one of its threads. A longer queue only moves the wait; the caller is told
    when to come back instead."""


BREAKER_FIRST_SECONDS = 5.0
"""How long a breaker stays open at first; each failed probe doubles it."""
BREAKER_LONGEST_SECONDS = 60.0

RETRY_AFTER_SECONDS = 30
"""The pause after a 429 whose Retry-After is absent, a date or nonsense."""
RETRY_AFTER_LONGEST_SECONDS = 300

CONFIG_LOG_SECONDS = 3600.0
"""From one log line to the next that says that the Config API cannot be asked."""

KEEPALIVE_SECONDS = 15.0
"""Below the idle time of every proxy on the way, so that we close first."""
USER_TIMEOUT_MILLISECONDS = 10_000
"""TCP_USER_TIMEOUT: a peer that is gone without a word is noticed after this long."""

TOKEN_SHORTEST_SECONDS = 30.0
TOKEN_LONGEST_SECONDS = 86_400.0
TOKEN_UNSTATED_SECONDS = 180.0
"""Airbyte's shortest real life of a token, taken when an answer states none."""
TOKEN_PAUSE_SECONDS = 5.0
"""After a failed or useless token, nobody asks for another this long."""
