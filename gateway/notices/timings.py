"""Seconds of looking at what needs the operator, and of telling him."""

import msgspec


class MailTimings(msgspec.Struct, frozen=True):
    """How long a mail server may take."""

    message: float = 30.0
    """For all of one message."""
    quit: float = 5.0
    """For its answer to our end of the session: whether it takes the message was said before."""


class NoticeTimings(msgspec.Struct, frozen=True):
    """Each is handed to whoever keeps it, so that a test can pass its own."""

    interval: float = 60.0
    """Between two looks; while nobody else asks, Airbyte is asked as often."""
    lease: float = 300.0
    """How long one gateway tells, from its last look on: longer than the messages of a look take. Then it has died."""
    mail: MailTimings = MailTimings()
    down: float = 300.0
    """How long Airbyte must have failed before it is told."""
