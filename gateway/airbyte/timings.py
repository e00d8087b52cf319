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


class SocketTimings(msgspec.Struct, frozen=True):
    """Seconds of a socket connection to Airbyte."""

    keepalive: float = 15.0
    """How long one without a call is used again: below the idle time of every proxy on the way, so that we close
    first."""
    peer_gone: float = 10.0
    """TCP_USER_TIMEOUT and TCP_KEEPIDLE: a peer that is gone without a word is noticed after so long, or twice that
    when nothing was sent meanwhile."""
    left: float = 45.0
    """How long one is kept whose answer nobody waits for any more: until it comes, Airbyte's thread is not free."""


class BreakerTimings(msgspec.Struct, frozen=True):
    """Seconds for which a breaker stays open: doubled with each failed probe, from `first` to `longest`."""

    first: float = 5.0
    longest: float = 60.0


class PauseTimings(msgspec.Struct, frozen=True):
    """Seconds without calls after a 429, in whole numbers as Airbyte's Retry-After has them."""

    unstated: int = 30
    """Where its Retry-After is absent, a date or nonsense."""
    longest: int = 300


class TokenTimings(msgspec.Struct, frozen=True):
    """Seconds for which a token is used, and for which none is asked for."""

    shortest: float = 30.0
    longest: float = 86_400.0
    unstated: float = 180.0
    """Airbyte's shortest real life of a token, taken when an answer states none."""
    pause: float = 5.0
    """After a failed or useless token, nobody asks for another this long."""


class AirbyteTimings(msgspec.Struct, frozen=True):
    """All timings of the room."""

    deadlines: Deadlines = Deadlines()
    sockets: SocketTimings = SocketTimings()
    breaker: BreakerTimings = BreakerTimings()
    pause: PauseTimings = PauseTimings()
    token: TokenTimings = TokenTimings()
    config_log: float = 3600.0
    """From one log line to the next that says that the Config API cannot be asked."""
