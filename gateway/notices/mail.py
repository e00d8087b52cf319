"""Write mail, and have it sent through the operator's server."""

import ssl
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from gateway.settings.secret import SecretUrl
from gateway.times import Clock


class Mailer:
    """Sends messages from one address."""

    def __init__(
        self,
        url: SecretUrl,
        sender: str,
        tls: Callable[[], ssl.SSLContext],
        clock: Clock,
        *,
        seconds: float,
    ) -> None:
        """Allow `seconds` for all of one message. `url` is what `smtp.deliver` takes."""
        self._url = url
        self._sender = sender
        self._tls = tls
        self._clock = clock
        self._seconds = seconds

    async def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Send one message to each of `recipients`. Raises MailNotSent."""
        # Not above: the library takes time when a command starts, and few of them send.
        from gateway.notices.smtp import deliver  # noqa: PLC0415 - see the line before

        message = self._message(recipients, subject, text)
        await deliver(message, url=self._url, tls=self._tls, seconds=self._seconds)

    def _message(self, recipients: Sequence[str], subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        # RFC 3834 section 5: nobody's absence is to be answered.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message
