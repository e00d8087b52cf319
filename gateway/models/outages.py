"""Why, and since when, Airbyte as a whole gives no good answer."""

from typing import Literal

import msgspec

NoAnswerKind = Literal["name", "refused", "timeout", "certificate", "no TLS", "broken", "proxy"]
"""How an address does not answer at all."""
TroubleKind = Literal[NoAnswerKind, "failing", "credential", "other"]
"""`failing`: it answers with a 5xx."""


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong: `kind` for deciding, `cause` for operators, in the words of `gateway doctor`, with addresses."""

    kind: TroubleKind
    cause: str


class Outage(msgspec.Struct, frozen=True):
    """Trouble that lasts, and when it was first noticed."""

    since: str
    trouble: Trouble
