"""How a call authenticates to Airbyte: a bearer token of the application, Basic, or not at all."""

import asyncio
import base64
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from gateway.airbyte.bulkhead import OwnCalls
from gateway.airbyte.call import MAX_OBJECT_BYTES, Call
from gateway.airbyte.schema import TokenRecord
from gateway.airbyte.timings import Deadlines, TokenTimings
from gateway.airbyte.token_life import token_life
from gateway.errors import UpstreamError, UpstreamInvalid, UpstreamRefused, UpstreamUnreachable
from gateway.settings.secret import Secret
from gateway.single_flight import SingleFlight
from gateway.times import Clock

B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*")
"""RFC 6750 §2.1: what may stand in a header; anything else could inject one."""
REFRESH_AT = 0.8
"""Share of a token's life after which the next one is fetched, in the background, while this one still works."""
RETIRED_TOKENS = 8
"""Tokens of former credentials, which calls under way still use: a 401 to one says nothing about the present ones."""

_TOKEN = msgspec.json.Decoder(TokenRecord)


class Credential:
    """Who we are to Airbyte: a client id or user name, and its secret. May change while the gateway runs."""

    __slots__ = ("identity", "secret")

    def __init__(self, identity: str, secret: Secret) -> None:
        self.identity = identity
        self.secret = secret


class Authorization(Protocol):
    """Where the `Authorization` header of a call comes from."""

    async def header(self) -> str | None:
        """Return the header's value, or None for no header. Raises UpstreamError."""
        ...

    def reject(self, header: str | None, *, renewed: bool) -> bool:
        """Note that Airbyte answered 401 to `header`, and return whether another try may help.

        `renewed`: that was the second try.
        """
        ...

    def forget(self) -> None:
        """Forget what is known of the credential, for it is another one now."""
        ...


class FixedAuthorization:
    """Basic, or none."""

    def __init__(self, credential: Credential | None = None) -> None:
        self._credential = credential

    async def header(self) -> str | None:
        """Return the header of HTTP Basic (RFC 7617), or None without a credential."""
        if self._credential is None:
            return None
        pair = f"{self._credential.identity}:{self._credential.secret.reveal()}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def reject(self, header: str | None, *, renewed: bool) -> bool:  # noqa: ARG002 - part of the protocol
        """Return False: the next try would send the same."""
        return False

    def forget(self) -> None:
        """Do nothing: each header is made anew."""


class ClientCredentials:
    """A token fetched once for all who wait, renewed at 80 % of its life, replaced once after a 401."""

    def __init__(self, fetch: Callable[[], Awaitable[TokenRecord]], clock: Clock, timings: TokenTimings) -> None:
        self._fetch = fetch
        self._clock = clock
        self._timings = timings
        self._renewals: SingleFlight[int, str] = SingleFlight(is_for_all=True)
        self._generation = 0
        """Counts changes of the credential. A token fetched with an older one serves only those who waited for it."""
        self._header: str | None = None
        self._renew_at = 0.0
        self._expires_at = 0.0
        self._paused_until = 0.0
        self._trusted_from = 0.0
        self._retired: deque[str] = deque(maxlen=RETIRED_TOKENS)

    async def header(self) -> str | None:
        """Return the header of a token that is good, fetched first if need be. Raises UpstreamError."""
        now = self._clock.monotonic()
        if self._header is not None and now < self._expires_at:
            if now >= self._renew_at and now >= self._paused_until:
                self._start_renewal()
            return self._header
        if now < self._paused_until:
            raise UpstreamUnreachable(detail="no token: the last try failed moments ago")
        generation = self._generation
        try:
            return await asyncio.shield(self._start_renewal())
        except UpstreamError:
            if generation == self._generation:
                raise
        return await self.header()

    def reject(self, header: str | None, *, renewed: bool) -> bool:
        """Give the token up, unless it is a former credential's, and return whether another try may help."""
        if header in self._retired:
            return not renewed
        now = self._clock.monotonic()
        is_current = header == self._header
        if renewed or (is_current and now < self._trusted_from):
            # A token that replaced a refused one is refused as well, so age is not the reason. Pause, so that the
            # token route is not flooded, however many requests are answered 401.
            self._header = None
            self._paused_until = now + self._timings.pause
            self._trusted_from = self._paused_until + self._timings.pause
            return False
        if is_current:
            self._header = None
            self._trusted_from = now + self._timings.pause
        return True

    def forget(self) -> None:
        """Retire the token: the next call fetches one for the new credential."""
        if self._header is not None:
            self._retired.append(self._header)
        self._generation += 1
        self._header = None
        self._paused_until = self._trusted_from = 0.0

    async def close(self) -> None:
        """Cancel the fetch under way."""
        await self._renewals.close(cancel=True)

    def _start_renewal(self) -> asyncio.Task[str]:
        generation = self._generation
        return self._renewals.start(generation, lambda: self._renew(generation))

    async def _renew(self, generation: int) -> str:
        try:
            record = await self._fetch()
            if B64TOKEN.fullmatch(record.access_token) is None:
                raise UpstreamInvalid(detail="the token has characters no header may hold")
        except UpstreamError as error:
            if generation == self._generation:
                self._paused_until = self._clock.monotonic() + self._timings.pause
            # Whatever the token route did, the customer's own request was fine.
            raise UpstreamUnreachable(detail=f"no token: {error.detail}{_hint(error)}") from error
        header = f"Bearer {record.access_token}"
        if generation != self._generation:
            self._retired.append(header)
            return header
        now = self._clock.monotonic()
        life = token_life(record, self._timings)
        self._header = header
        self._renew_at = now + life * REFRESH_AT
        self._expires_at = now + life
        return header


def token_call(client_id: str, client_secret: Secret, deadlines: Deadlines) -> Call[TokenRecord]:
    """Ask for a token, in both spellings of the grant.

    Airbyte's schema names one of them and requires the other; its server reads neither.
    """
    body = {
        "client_id": client_id,
        "client_secret": client_secret.reveal(),
        "grant_type": "client_credentials",
        "grant-type": "client_credentials",
    }
    return Call(
        _TOKEN,
        b"/applications/token",
        OwnCalls.ROUTINE,
        method=b"POST",
        body=msgspec.json.encode(body),
        deadline_seconds=deadlines.token,
        max_bytes=MAX_OBJECT_BYTES,
    )


def _hint(error: UpstreamError) -> str:
    """Return where to look, if the credentials may be wrong: 400, 401 or 500, by Airbyte's edition and build."""
    if isinstance(error, UpstreamRefused) or error.detail.startswith("500"):
        return "; check airbyte.client_id and airbyte.client_secret"
    return ""
