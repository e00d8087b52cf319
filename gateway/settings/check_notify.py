"""Rules of the table [notify]: what each way to the operator needs. Nothing of a value is told: some are secret."""

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway.errors import SettingsError
from gateway.settings.tables import NotifySettings

SECRET_PREFIX = "whsec_"  # noqa: S105 - the beginning of every secret, and none itself
SECRET_BYTES = range(24, 65)
"""Standard Webhooks 1.0."""
MAILABLE = re.compile(r"""[^\s@,:;<>()\[\]\\"]+@[^\s@,:;<>()\[\]\\"]+""")
"""Names in quotes and the like are left out: of some of them Python 3.11 can make no header (AttributeError)."""


def check_notify(origins: Mapping[str, object], notify: NotifySettings) -> None:
    """Check addresses, and that none of what belongs together is missing. Raises SettingsError."""
    smtp, mail_from, mail_to = (origins[f"notify.{key}"] for key in ("smtp_url", "mail_from", "mail_to"))
    if notify.smtp_url and not _is_mail_server(notify.smtp_url.reveal()):
        raise SettingsError(f"{smtp}: expected smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…")
    if notify.smtp_url and not _is_mailbox(notify.mail_from):
        raise SettingsError(f"{mail_from}: with notify.smtp_url it must look like gateway@example.com")
    if notify.mail_to and not notify.smtp_url:
        raise SettingsError(f"{mail_to}: it needs notify.smtp_url")
    for number, address in enumerate(notify.mail_to, 1):
        if not _is_mailbox(address):
            raise SettingsError(f"{mail_to}: item {number} must look like ann@example.com")
    if notify.webhook_url and not _is_receiver(notify.webhook_url.reveal()):
        raise SettingsError(f"{origins['notify.webhook_url']}: expected http(s)://HOST[:PORT]/PATH without user")
    if notify.webhook_secret and not _is_signing_secret(notify.webhook_secret.reveal()):
        raise SettingsError(f"{origins['notify.webhook_secret']}: expected whsec_ and base64 of 24 to 64 bytes")


def _is_mail_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    good = good and parts.path in {"", "/"} and not (parts.query or parts.fragment) and url.count("@") <= 1
    return good and (parts.username is None) == (parts.password is None) and _is_plain(url)


def _is_receiver(url: str) -> bool:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return good and "@" not in parts.netloc and not parts.fragment and _is_plain(url)


def _is_mailbox(address: str) -> bool:
    return MAILABLE.fullmatch(address) is not None and _is_plain(address)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _is_signing_secret(secret: str) -> bool:
    try:
        decoded = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return False
    return secret.startswith(SECRET_PREFIX) and len(decoded) in SECRET_BYTES
