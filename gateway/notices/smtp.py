"""Hand a message to a mail server. Without TLS nothing is sent, but to this very machine."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib

from gateway.notices.mail_not_sent import MailNotSent, MessageRefused
from gateway.notices.timings import MailTimings
from gateway.settings.addresses import is_this_machine
from gateway.settings.secret import SecretUrl

SCHEME_PORTS = {"smtp": 587, "smtps": 465}
LOCAL_PORT = 25
"""Of a server on this machine, which need not offer TLS."""


async def deliver(
    message: EmailMessage,
    recipients: Sequence[str],
    *,
    url: SecretUrl,
    tls: Callable[[], ssl.SSLContext],
    timings: MailTimings,
) -> int:
    """Send the message to all recipients; return how many of them the server refused, if not all. Raises MailNotSent.

    `url` is `smtp://[USER:PASSWORD@]HOST[:PORT]`, which must offer STARTTLS, or `smtps://…`.
    """
    client = _client(url, tls, timings.message)
    try:
        # For all of it: the library's own limit is for each reply.
        async with asyncio.timeout(timings.message):
            await client.connect()
            refused, _ = await client.send_message(message, recipients=recipients)
    except TimeoutError:
        raise MailNotSent(f"the mail server did not answer within {timings.message:g} seconds") from None
    except (aiosmtplib.SMTPException, ssl.SSLError, OSError) as error:
        await _quit(client, timings.quit)
        raise _not_sent(error) from None
    else:
        await _quit(client, timings.quit)
        return len(refused)
    finally:
        client.close()


async def _quit(client: aiosmtplib.SMTP, seconds: float) -> None:
    """End the session, as RFC 5321 section 4.1.1.10 asks. What the server says to that changes nothing."""
    with suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=seconds)


def _client(url: SecretUrl, tls: Callable[[], ssl.SSLContext], seconds: float) -> aiosmtplib.SMTP:
    parts = urlsplit(url.reveal())
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
        tls_context=None if is_local else tls(),
        timeout=seconds,
    )


def _not_sent(error: Exception) -> MailNotSent:
    if isinstance(error, aiosmtplib.SMTPDataError):
        return MessageRefused(f"the mail server answered {error.code}")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return MailNotSent(f"the mail server answered {error.code}")
    if isinstance(error, ssl.SSLCertVerificationError) or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return MailNotSent("the mail server's certificate cannot be trusted")
    if isinstance(error, aiosmtplib.SMTPConnectError | OSError):
        return MailNotSent("the mail server cannot be reached")
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return MailNotSent("the mail server takes none of the recipients")
    return MailNotSent(f"the mail server does not do what it must: {type(error).__name__}")
