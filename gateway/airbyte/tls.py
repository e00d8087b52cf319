"""Verify TLS by the machine's authorities, or by Mozilla's where it has none, and by the operator's own."""

import re
import ssl
from pathlib import Path

from gateway.errors import OperatorError

NO_AUTHORITY = "NO_CERTIFICATE_OR_CRL_FOUND"
"""OpenSSL's reason for a file of authorities that has none in it."""
HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
"""The names of certificates in a folder where OpenSSL looks one up when it is needed."""


def verifying_tls(ca_file: Path | None = None, *, setting: str = "airbyte.ca_file") -> ssl.SSLContext:
    """Return a context that trusts whom this machine trusts, whatever the environment says, and those in `ca_file`.

    Raises OperatorError if a file of authorities cannot be used; it names the `setting` that `ca_file` comes from.
    """
    # Not above: it takes a tenth of what a command needs to start, and few of them call Airbyte.
    import httpx2  # noqa: PLC0415 - see the line before

    try:
        context = httpx2.create_ssl_context(trust_env=False)
    except ssl.SSLError as error:
        if error.reason != NO_AUTHORITY:
            # The operator's choice cannot be read. Mozilla's list instead would trust more than was chosen.
            raise OperatorError(
                "the machine's file of certificate authorities is broken: nobody could be believed to be Airbyte"
            ) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = with_authorities(context)
    if ca_file is not None:
        _add_authorities(context, ca_file, setting)
    return context


def _add_authorities(context: ssl.SSLContext, ca_file: Path, setting: str) -> None:
    try:
        ca_file.open("rb").close()  # OpenSSL's own errors do not say why a file cannot be read.
        context.load_verify_locations(ca_file)
    except ssl.SSLError as error:
        what = "there is no certificate in it" if error.reason == NO_AUTHORITY else "a certificate in it is broken"
        raise OperatorError(f"{setting}: {ca_file}: {what}; expected PEM, -----BEGIN CERTIFICATE-----") from None
    except OSError as error:
        raise OperatorError(f"{setting}: {ca_file}: cannot be read: {error.strerror}") from None


def with_authorities(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context, with Mozilla's authorities if the machine has none.

    They are never added to the machine's: who takes an authority out of its store wants it out.
    """
    if not context.cert_store_stats()["x509"] and not _has_hashed_folder():
        # Not above: most machines have authorities of their own.
        import certifi  # noqa: PLC0415 - see the line before

        context.load_verify_locations(certifi.where())
    return context


def _has_hashed_folder() -> bool:
    """Return whether OpenSSL has a folder to look in. Nothing is loaded from it before a handshake."""
    folder = Path(ssl.get_default_verify_paths().openssl_capath)
    return folder.is_dir() and any(HASHED_NAME.fullmatch(path.name) for path in folder.iterdir())
