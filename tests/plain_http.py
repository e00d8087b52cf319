"""Calls over plain HTTP to real ports: patient, and cheap, for httpx2 reads the authorities of the web for each client.

That takes 50 ms of a core, longer than most answers.
"""

import ssl
from typing import Any

import httpx2

from tests.support import BOUND_SECONDS

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def request(method: str, url: str, *, timeout: float = BOUND_SECONDS, **options: Any) -> httpx2.Response:
    """Send one request over a socket connection of its own. Raises httpx2.TransportError."""
    return httpx2.request(method, url, timeout=timeout, verify=NO_AUTHORITIES, **options)


def get(url: str, **options: Any) -> httpx2.Response:
    """Send a GET as `request` does."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx2.Response:
    """Send a POST as `request` does."""
    return request("POST", url, **options)


def client(**options: Any) -> httpx2.Client:
    """Return a client that is as patient."""
    return httpx2.Client(timeout=BOUND_SECONDS, verify=NO_AUTHORITIES, **options)
