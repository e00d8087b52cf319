"""Whom TLS to Airbyte believes: the machine's authorities, or Mozilla's where the machine has none."""

import re
import ssl
from pathlib import Path

import httpx2

from gateway.errors import OperatorError

NO_AUTHORITY = "NO_CERTIFICATE_OR_CRL_FOUND"
"""What OpenSSL says of a file of authorities that has none in it."""
HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
"""How certificates are called in a folder where OpenSSL looks one up when it is needed."""


def verifying_tls() -> ssl.SSLContext:
    """Trusts whom this machine trusts, whatever the environment says. Raises OperatorError when that cannot be read."""
    try:
        context = httpx2.create_ssl_context(trust_env=False)
    except ssl.SSLError as error:
        if error.reason != NO_AUTHORITY:
            # Whoever made a mistake in it did not want the whole world believed instead.
            raise OperatorError(
                "the machine's file of certificate authorities is broken: nobody could be believed to be Airbyte"
            ) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return with_authorities(context)


def with_authorities(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, which has the machine's authorities already if there are any.

    Mozilla's are never added to those: who takes an authority out of the machine's store wants it out.
    """
    if not context.cert_store_stats()["x509"] and not _has_hashed_folder():
        # Not above: most machines have authorities of their own.
        import certifi  # noqa: PLC0415 - see the line before

        context.load_verify_locations(certifi.where())
    return context


def _has_hashed_folder() -> bool:
    """From such a folder nothing is loaded before a handshake, so the context does not tell."""
    folder = Path(ssl.get_default_verify_paths().openssl_capath)
    return folder.is_dir() and any(HASHED_NAME.fullmatch(path.name) for path in folder.iterdir())
