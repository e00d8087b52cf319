"""How long each step of telling webhooks takes, and how much is done at once.

Each is handed to whoever keeps it, so that a test can pass its own.
"""

from datetime import timedelta

import msgspec

_MINUTE, _HOUR = 60.0, 3600.0


class DeliveryTimings(msgspec.Struct, frozen=True):
    """Seconds, where nothing else is said."""

    message: float = 15.0
    """For all of one message. Standard Webhooks: 15 to 30."""
    schedule: tuple[float, ...] = (
        *(0.0, 5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR),
        *(10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
    )
    """Before each attempt, from the one before it: the example of Standard Webhooks 1.0. Then the event is given up."""
    jitter: float = 0.1
    """Up to this part of a pause is added to it: what failed together is not sent again together."""
    poll: float = 1.0
    """Between two looks at the queue; another gateway may have written to it."""
    idle_poll: float = 5.0
    """While there is no webhook, or no database."""
    explain: float = 10.0
    """The longest wait for Airbyte's reason why a sync failed. Then the event goes without."""
    store_again: float = 1.0
    """Between two tries to store what came of an attempt."""
    lease: float = 60.0
    """How long a gateway may be sending one event: with the reason it takes 25. Then it died, and another sends it."""
    failing: timedelta = timedelta(days=5)
    """Without one success: the webhook is disabled."""
    quiet: timedelta = timedelta(days=2)
    """Without an attempt: it is not known whether the webhook still fails, and the next failure is the first again."""


class DeliveryLimits(msgspec.Struct, frozen=True):
    """How many events one gateway sends at once."""

    total: int = 256
    of_failing: int = 128
    """Of all webhooks together whose last attempt failed. However many hang, those that answer find room."""
    of_client: int = 8
    of_webhook: int = 2
    """One that hangs takes no more, whatever waits for it."""


class DueTimings(msgspec.Struct, frozen=True):
    """Seconds of looking at what time brings by itself, where nothing else is said."""

    late: float = 60.0
    """Between two looks for syncs that are late, and for keys that end soon."""
    told: timedelta = timedelta(days=10)
    """What has been so for longer was told. Its event may be deleted by now, and is not written again."""


class WebhookTimings(msgspec.Struct, frozen=True):
    """All timings of the room."""

    delivery: DeliveryTimings = DeliveryTimings()
    limits: DeliveryLimits = DeliveryLimits()
    due: DueTimings = DueTimings()
    test: float = 20.0
    """How long the command line waits for what came of a test: a receiver may take 15."""
    test_look: float = 0.5
    """Between two looks for it."""
    rotation: timedelta = timedelta(hours=24)
    """How long the secret before a rotation signs beside the new one."""
