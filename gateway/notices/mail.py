"""Write mail, and have it sent through the operator's server."""

import re
import ssl
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from gateway.notices.mail_not_sent import MailNotSent
from gateway.notices.timings import MailTimings
from gateway.settings.secret import SecretUrl
from gateway.times import Clock

MAILABLE = re.compile(r"""[^\s@,:;<>()\[\]\\"]+@[^\s@,:;<>()\[\]\\"]+""")
"""Names in quotes and the like are left out: of some of them Python 3.11 can make no header (AttributeError)."""


class Mailer:
    """Sends messages from one address."""

    def __init__(
        self,
        url: SecretUrl,
        sender: str,
        tls: Callable[[], ssl.SSLContext],
        clock: Clock,
        timings: MailTimings,
    ) -> None:
        """`url` is what `smtp.deliver` takes."""
        self._url = url
        self._sender = sender
        self._tls = tls
        self._clock = clock
        self._timings = timings

    async def send(self, recipients: Sequence[str], subject: str, text: str) -> int:
        """Send one message to `recipients`; return how many of them were refused, if not all. Raises MailNotSent."""
        if not all(map(MAILABLE.fullmatch, recipients)):
            raise MailNotSent("no mail can be sent to such an address")
        # Not above: the library takes time when a command starts, and few of them send.
        from gateway.notices.smtp import deliver  # noqa: PLC0415 - see the line before

        message = self._message(recipients, subject, text)
        return await deliver(message, recipients, url=self._url, tls=self._tls, timings=self._timings)

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
