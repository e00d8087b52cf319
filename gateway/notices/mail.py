"""Send mail through the operator's server. Without TLS nothing is sent, but to this very machine."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from urllib.parse import unquote, urlsplit

import aiosmtplib

from gateway.settings.addresses import is_this_machine
from gateway.settings.secret import SecretUrl
from gateway.times import Clock

SCHEME_PORTS = {"smtp": 587, "smtps": 465}
LOCAL_PORT = 25
"""Of a server on this machine, which need not offer TLS."""


class MailNotSent(Exception):
    """The server did not take a message. The text is ours: what a server says may repeat what it was sent."""


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
        """Allow `seconds` for all of one message: the library's own limit is for each reply.

        `url` is `smtp://[USER:PASSWORD@]HOST[:PORT]`, which must offer STARTTLS, or `smtps://…`.
        """
        self._url = url
        self._sender = sender
        self._tls = tls
        self._clock = clock
        self._seconds = seconds

    async def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Send one message to each of `recipients`. Raises MailNotSent."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        # RFC 3834 section 5: nobody's absence is to be answered.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        client = self._client()
        try:
            async with asyncio.timeout(self._seconds), client:
                await client.send_message(message)
        except TimeoutError:
            raise MailNotSent(f"the mail server did not answer within {self._seconds:g} seconds") from None
        except aiosmtplib.SMTPResponseException as error:
            raise MailNotSent(f"the mail server answered {error.code}") from None
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError) as error:
            raise MailNotSent(_reason(error)) from None
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        parts = urlsplit(self._url.reveal())
        host = parts.hostname or ""
        is_tls = parts.scheme == "smtps"
        is_local = not is_tls and is_this_machine(host)
        return aiosmtplib.SMTP(
            hostname=host,
            port=parts.port or (LOCAL_PORT if is_local else SCHEME_PORTS[parts.scheme]),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=is_tls,
            start_tls=not (is_tls or is_local),
            tls_context=None if is_local else self._tls(),
            timeout=self._seconds,
        )


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return "the mail server's certificate cannot be trusted"
    if isinstance(error, aiosmtplib.SMTPConnectError | OSError):
        return "the mail server cannot be reached"
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "the mail server takes none of the recipients"
    return f"the mail server does not do what it must: {type(error).__name__}"
