"""The two ways to the operator: his mail server, and a webhook of his own."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.models import Notice
from gateway.notices.mail import Mailer
from gateway.notices.mail_not_sent import MailNotSent, MessageRefused
from gateway.settings.brand import CurrentBrand
from gateway.settings.secret import Secret
from gateway.times import Clock, format_time
from gateway.webhooks.signature import message_body, signed_headers

if TYPE_CHECKING:
    from gateway.webhooks.sender import Sender

SUBJECT_LENGTH = 120


class NotTold(Exception):
    """A channel did not take a notice. The text names no address and no secret."""


class NoticeRefused(NotTold):
    """A channel answers, and did not take this notice. It may take another."""


class Channel(Protocol):
    """A way to the operator."""

    @property
    def name(self) -> str:
        """By which the database knows what was told on it."""
        ...

    async def tell(self, notice: Notice) -> str:
        """Tell of one notice; return whom it did not reach, in words, or nothing. Raises NotTold."""
        ...


class MailChannel:
    """Tells by mail."""

    name = "mail"

    def __init__(self, mailer: Mailer, recipients: Sequence[str], address: str, brand: CurrentBrand) -> None:
        """`address` is where people find the gateway: it tells which of several gateways speaks."""
        self._mailer = mailer
        self._recipients = recipients
        self._address = address
        self._brand = brand

    async def tell(self, notice: Notice) -> str:
        """Mail the notice to all recipients; return how many were refused, in words. Raises NotTold."""
        sentence = f"Over: {notice.text}" if notice.is_over else notice.text
        text = f"{sentence}\n\nSince: {notice.since}\nGateway: {self._address}/dashboard/admin/\n"
        subject = f"[{self._brand.current.name}] {sentence}"[:SUBJECT_LENGTH]
        try:
            refused = await self._mailer.send(self._recipients, subject, text)
        except MessageRefused as error:
            raise NoticeRefused(str(error)) from None
        except MailNotSent as error:
            raise NotTold(str(error)) from None
        return f"the mail server refuses {refused} of {len(self._recipients)} recipients" if refused else ""


class WebhookChannel:
    """Tells by a signed message in the form of Standard Webhooks."""

    name = "webhook"

    def __init__(self, sender: "Sender", url: Secret, secret: Secret, clock: Clock, new_id: Callable[[], str]) -> None:
        """Sign with `secret` unless it is empty. The address itself is a secret: many services have a token in it."""
        self._sender = sender
        self._url = url
        self._secret = secret
        self._clock = clock
        self._new_id = new_id

    async def tell(self, notice: Notice) -> str:
        """Send the notice, signed if there is a secret, as a client's webhooks are. Raises NotTold."""
        now = self._clock.now()
        data = {"matter": notice.matter, "text": notice.text, "since": notice.since}
        kind = "notice.ended" if notice.is_over else "notice.began"
        body = message_body(kind, format_time(now), data)
        secrets = [self._secret.reveal()] if self._secret else []
        headers = signed_headers(secrets, self._new_id(), now, body)
        try:
            receipt = await self._sender.send(self._url.reveal(), headers, body)
        except Exception as error:  # noqa: BLE001 - its text may quote the address; nothing may keep other notices waiting
            raise NotTold(f"it could not be sent: {type(error).__name__}") from None
        if receipt.status is None:
            raise NotTold(receipt.error)
        if not receipt.is_success:
            raise NoticeRefused(f"the receiver answered {receipt.status}")
        return ""
