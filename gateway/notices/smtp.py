"""Hand a message to a mail server. Without TLS nothing is sent, but to this very machine."""

import asyncio
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib

from gateway.notices.mail_not_sent import MailNotSent
from gateway.settings.addresses import is_this_machine
from gateway.settings.secret import SecretUrl

SCHEME_PORTS = {"smtp": 587, "smtps": 465}
LOCAL_PORT = 25
"""Of a server on this machine, which need not offer TLS."""


async def deliver(message: EmailMessage, *, url: SecretUrl, tls: Callable[[], ssl.SSLContext], seconds: float) -> None:
    """Send the message within `seconds` for all of it: the library's own limit is for each reply. Raises MailNotSent.

    `url` is `smtp://[USER:PASSWORD@]HOST[:PORT]`, which must offer STARTTLS, or `smtps://…`.
    """
    client = _client(url, tls, seconds)
    try:
        async with asyncio.timeout(seconds), client:
            await client.send_message(message)
    except TimeoutError:
        raise MailNotSent(f"the mail server did not answer within {seconds:g} seconds") from None
    except aiosmtplib.SMTPResponseException as error:
        raise MailNotSent(f"the mail server answered {error.code}") from None
    except (aiosmtplib.SMTPException, ssl.SSLError, OSError) as error:
        raise MailNotSent(_reason(error)) from None
    finally:
        client.close()


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


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return "the mail server's certificate cannot be trusted"
    if isinstance(error, aiosmtplib.SMTPConnectError | OSError):
        return "the mail server cannot be reached"
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "the mail server takes none of the recipients"
    return f"the mail server does not do what it must: {type(error).__name__}"
