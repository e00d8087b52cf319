"""What a request's head must look like, beyond what the parser asks for: sizes, target, Host and framing. Pure."""

import re
from functools import lru_cache
from urllib.parse import unquote

import httptools

from gateway.errors import ApiError, BadRequest, HeadersTooLarge, MethodNotImplemented, UriTooLong

MAX_TARGET_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""RFC 3986 §3.2.2 without the sub-delimiters, which no name in use has."""
UNKNOWN_METHOD = re.compile(
    rb"(?:\A|\r\n\r\n)(?!(?:GET|HEAD|POST) )[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: (?P<target>[^ \r\n]*)|\Z)"
)
"""Begins a request or a piece of one. A method is a token (RFC 9110 §9.1)."""
NOT_OF_HTTP = frozenset({"Invalid method for HTTP/x.x request", "Expected HTTP/2 Connection Preface"})
"""The parser's words for methods that it knows: those of RTSP, and PRI, which is HTTP/2's alone."""
KEPT_HOSTS = 256
"""A gateway has few names."""

Headers = list[tuple[bytes, bytes]]


def check_size(target: bytes, headers: Headers) -> None:
    """Measure a head: names and values count, and the four bytes around them. Raises UriTooLong and HeadersTooLarge."""
    if len(target) > MAX_TARGET_BYTES:
        raise UriTooLong
    if sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEADER_BYTES:
        raise HeadersTooLarge


def check_head(version: str, target: bytes, headers: Headers) -> None:
    """Check a head, its names in lower case. Raises BadRequest and HeadersTooLarge.

    Whatever a proxy in front might read differently is refused (RFC 9112 §3.2 and §6.1), not guessed.
    """
    if len(headers) > MAX_HEADERS:
        raise HeadersTooLarge
    host: bytes | None = None
    for name, value in headers:
        if name == b"host":
            if host is not None:
                raise BadRequest("Host is given more than once")
            host = value
        elif name == b"transfer-encoding":
            _check_transfer_encoding(version, value, headers)
    _check_host(version, host)
    if target[:1] != b"/" or b"#" in target:
        _check_absolute(target, host)


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Return path, path as it came and query of a target that `check_head` took. Raises BadRequest."""
    if target[:1] == b"/":
        raw_path, _, query = target.partition(b"?")
    else:
        url = httptools.parse_url(target)
        raw_path, query = url.path, url.query or b""
    try:
        path = raw_path.decode("ascii")
    except UnicodeDecodeError:
        raise BadRequest("Request URL is malformed") from None
    return unquote(path) if "%" in path else path, raw_path, query


def told_path(target: bytes) -> str:
    """Return the path of a target that nobody has checked, and of which the end may be missing."""
    if target[:1] != b"/":
        # A whole URL (RFC 9112 §3.2.2).
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    return unquote(target.partition(b"?")[0].decode("latin-1"))


def refused_target(data: bytes) -> bytes:
    """Return the target that stands after a method which is none; empty if none does."""
    match = UNKNOWN_METHOD.search(data)
    return (match and match["target"]) or b""


def check_no_body(headers: Headers) -> None:
    """Refuse a body: after an upgrade is offered the parser takes it for the new protocol. Raises BadRequest."""
    if has_body(headers):
        raise BadRequest("A request with a body cannot be upgraded")


def has_body(headers: Headers) -> bool:
    """Return whether a body follows: without either field a request has none (RFC 9112 §6.3)."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers)


def has_content(headers: Headers) -> bool:
    """Return whether something may follow the head: a length of 0 says that nothing does."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def parser_refusal(error: httptools.HttpParserError, data: bytes) -> ApiError:
    """Return what a client reads whose request the parser refused while it read `data`."""
    reason = error.__context__
    if isinstance(reason, ApiError):
        return reason
    is_method = isinstance(error, httptools.HttpParserInvalidMethodError) and UNKNOWN_METHOD.search(data)
    return MethodNotImplemented() if is_method or str(error) in NOT_OF_HTTP else BadRequest("Malformed HTTP request")


def _check_host(version: str, host: bytes | None) -> None:
    """Check Host; HTTP/1.0 does without, as some health checks do."""
    if version not in {"1.1", "1.0"}:
        raise BadRequest("HTTP version is not supported")
    if host is None:
        if version == "1.1":
            raise BadRequest("Host is missing")
    elif not _is_host(host):
        raise BadRequest("Host is malformed")


@lru_cache(KEPT_HOSTS)
def _is_host(host: bytes) -> bool:
    return HOST.fullmatch(host) is not None


def _check_transfer_encoding(version: str, value: bytes, headers: Headers) -> None:
    if version != "1.1" or value.lower() != b"chunked":
        raise BadRequest("Transfer-Encoding is not supported")
    framing = [name for name, _ in headers if name in {b"transfer-encoding", b"content-length"}]
    if len(framing) > 1:
        raise BadRequest("The length of the request is given more than once")


def _check_absolute(target: bytes, host: bytes | None) -> None:
    """Check a whole URL: it is a target too, if it names the same host as Host does (RFC 9112 §3.2.2)."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise BadRequest("Request URL is malformed") from None
    scheme, separator, rest = target.partition(b"://")
    is_absolute = separator and scheme.lower() in {b"http", b"https"} and url.path is not None
    if not is_absolute or url.fragment is not None or rest.partition(b"/")[0].lower() != (host or b"").lower():
        raise BadRequest("Request URL is malformed")
