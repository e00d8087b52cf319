"""Say in one sentence why nobody answered at an address: no such name, nothing listens, a bad certificate, …"""

import errno
import socket
import ssl
from collections.abc import Iterator

from gateway.airbyte.dial import ProxyRefused
from gateway.models import NoAnswerKind

CERTIFICATE_FAULTS = {
    9: "is not valid yet, or this machine's clock is wrong",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an authority this machine does not know",
    20: "is signed by an authority this machine does not know, or its intermediate certificate is not sent along",
    21: "is signed by an authority this machine does not know, or its intermediate certificate is not sent along",
    62: "is for another name",
    64: "is for another address",
}
"""OpenSSL's X509_V_ERR_… in words."""
REFUSED = f"[Errno {errno.ECONNREFUSED}]"
"""Of several addresses that fail, asyncio of Python 3.11 gives the errors as one text, without a cause."""


class NoAnswer(Exception):
    """Nobody answered; `kind` is for deciding, the text a sentence for people."""

    def __init__(self, kind: NoAnswerKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def no_answer(error: Exception, *, asked: str, host: str, seconds: float) -> NoAnswer:
    """Return what `error` of httpx2 or the standard library says of `asked` after a wait of `seconds`.

    httpx2 has one `ConnectError` for a missing name, a closed port and a bad certificate; its causes tell them apart.
    """
    causes = list(_causes(error))
    if REFUSED in str(error) or any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return NoAnswer("refused", f"nothing listens at {asked}")
    for cause in causes:
        if (told := _told_by(cause, asked=asked, host=host, seconds=seconds)) is not None:
            return told
    return NoAnswer("broken", f"{asked} breaks the connection off")


def _told_by(cause: BaseException, *, asked: str, host: str, seconds: float) -> NoAnswer | None:
    """Return what one of the causes tells by itself; nothing if that is no more than a broken connection."""
    kind: NoAnswerKind
    match cause:
        case ProxyRefused():
            kind, sentence = "proxy", f"the proxy does not lead to {asked}: {cause}"
        case TimeoutError():
            kind, sentence = "timeout", f"{asked} does not answer within {seconds:g} s"
        case socket.gaierror():
            kind, sentence = "name", f"{host} has no address: {cause.strerror}"
        case ssl.SSLCertVerificationError():
            fault = CERTIFICATE_FAULTS.get(cause.verify_code, f"does not verify: {cause.verify_message}")
            kind, sentence = "certificate", f"the certificate of {asked} {fault}"
        case ssl.SSLError():
            kind, sentence = "no TLS", f"{asked} does not speak TLS"
        case OSError() if cause.errno not in {None, errno.ECONNRESET, errno.EPIPE}:
            kind, sentence = "refused", f"{asked} cannot be reached: {cause.strerror}"
        case _:
            return None
    return NoAnswer(kind, sentence)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what led to it; where several addresses were tried, the error of each.

    httpcore2's pool takes the cause off what it raises; its errors still hold it as their argument. The context
    would not do: under TLS it is often the SSLError of a read that has to wait.
    """
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or next((each for each in error.args if isinstance(each, BaseException)), None)
