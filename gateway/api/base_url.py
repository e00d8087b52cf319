"""Where callers reach this gateway: what every absolute address that we publish begins with."""

import re

from starlette.requests import Request

from gateway.services import services_of

FALLBACK_URL = "http://127.0.0.1:8080"
ANY_URL = "https://gateway.invalid"
"""Stands for the gateway's own address until that is known; no name may end so (RFC 2606)."""

_PLAIN_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""The only form of a Host header that is repeated: anything else could put foreign text into an answer."""


def base_url(request: Request) -> str:
    """Return `server.public_url`, else the origin of this request; without a slash at its end."""
    public_url = services_of(request).settings.server.public_url
    if public_url:
        return public_url.rstrip("/")
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}" if _PLAIN_HOST.fullmatch(host) else FALLBACK_URL
