"""What came of sending a message once. Light, so that whoever only judges it does not load what sends."""

from http import HTTPStatus

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """What came of sending a message: the status and the first bytes of the answer, or why there is none."""

    status: int | None
    excerpt: str = ""
    error: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the receiver took the message. A redirect is none: it is not followed."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES
