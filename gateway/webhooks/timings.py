"""How long the delivery of a message may take."""

import msgspec


class WebhookTimings(msgspec.Struct, frozen=True):
    """Seconds of telling customers' servers."""

    delivery: float = 15.0
    """For all of one message. Standard Webhooks: 15 to 30."""
