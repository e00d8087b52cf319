"""How a call authenticates to Airbyte: a bearer token of the application, Basic, or not at all."""

import asyncio
import base64
import binascii
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from gateway.airbyte.schema import TokenRecord
from gateway.errors import UpstreamError, UpstreamInvalid, UpstreamRefused, UpstreamUnreachable
from gateway.settings.secret import Secret
from gateway.single_flight import SingleFlight
from gateway.times import Clock

B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*")
"""RFC 6750 §2.1: what may stand in a header; anything else could inject one."""
REFRESH_AT = 0.8
"""Share of a token's life after which the next one is fetched, in the background, while this one still works."""
SHORTEST_LIFE_SECONDS = 30.0
LONGEST_LIFE_SECONDS = 86_400.0
UNSTATED_LIFE_SECONDS = 180.0
"""Airbyte's shortest real life of a token, taken when an answer states none."""
RETIRED_TOKENS = 8
"""Of former credentials, still in use by calls under way: their refusal says nothing about the present one."""
REFUSAL_SECONDS = 5.0
"""After a failed or useless token, nobody asks for another this long."""


class Credential:
    """Who we are to Airbyte: a client id or user name, and its secret. May change while the gateway runs."""

    __slots__ = ("identity", "secret")

    def __init__(self, identity: str, secret: Secret) -> None:
        self.identity = identity
        self.secret = secret


class Authorization(Protocol):
    """Where the `Authorization` header of a call comes from."""

    async def header(self) -> str | None:
        """Raises UpstreamError."""
        ...

    def reject(self, header: str | None, *, renewed: bool) -> bool:
        """Airbyte answered 401 to `header`; `renewed` if that was the second try. Whether another try may help."""
        ...

    def forget(self) -> None:
        """The credential is another one now: what is known of the old one does not count."""
        ...


class FixedAuthorization:
    """Basic, or none."""

    def __init__(self, credential: Credential | None = None) -> None:
        self._credential = credential

    async def header(self) -> str | None:
        if self._credential is None:
            return None
        pair = f"{self._credential.identity}:{self._credential.secret.reveal()}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def reject(self, header: str | None, *, renewed: bool) -> bool:  # noqa: ARG002 - part of the protocol
        return False

    def forget(self) -> None:
        """Each header is made anew."""


class ClientCredentials:
    """A token fetched once for all who wait, renewed at 80 % of its life, replaced once after a 401."""

    def __init__(self, fetch: Callable[[], Awaitable[TokenRecord]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._flight: SingleFlight[int, str] = SingleFlight()
        self._generation = 0
        """Of the credential. A token fetched with an older one serves who waited for it and nobody else."""
        self._header: str | None = None
        self._renew_at = 0.0
        self._expires_at = 0.0
        self._refused_until = 0.0
        self._trusted_from = 0.0
        self._retired: deque[str] = deque(maxlen=RETIRED_TOKENS)

    async def header(self) -> str | None:
        now = self._clock.monotonic()
        if self._header is not None and now < self._expires_at:
            if now >= self._renew_at and now >= self._refused_until:
                self._fly()
            return self._header
        if now < self._refused_until:
            raise UpstreamUnreachable(detail="no token: the last try failed moments ago")
        generation = self._generation
        try:
            return await asyncio.shield(self._fly())
        except UpstreamError:
            if generation == self._generation:
                raise
        return await self.header()

    def reject(self, header: str | None, *, renewed: bool) -> bool:
        if header in self._retired:
            return not renewed
        now = self._clock.monotonic()
        is_current = header == self._header
        if renewed or (is_current and now < self._trusted_from):
            # A token that replaced a refused one is refused as well: not a matter of age. Rest, so that no storm
            # hits the token route, however many requests learn of it.
            self._header = None
            self._refused_until = now + REFUSAL_SECONDS
            self._trusted_from = self._refused_until + REFUSAL_SECONDS
            return False
        if is_current:
            self._header = None
            self._trusted_from = now + REFUSAL_SECONDS
        return True

    def forget(self) -> None:
        if self._header is not None:
            self._retired.append(self._header)
        self._generation += 1
        self._header = None
        self._refused_until = self._trusted_from = 0.0

    async def close(self) -> None:
        await self._flight.close(cancel=True)

    def _fly(self) -> asyncio.Task[str]:
        generation = self._generation
        return self._flight.start(generation, lambda: self._renew(generation))

    async def _renew(self, generation: int) -> str:
        try:
            record = await self._fetch()
            if B64TOKEN.fullmatch(record.access_token) is None:
                raise UpstreamInvalid(detail="the token has characters no header may hold")
        except UpstreamError as error:
            if generation == self._generation:
                self._refused_until = self._clock.monotonic() + REFUSAL_SECONDS
            # Whatever the token route did, the customer's own request was fine.
            raise UpstreamUnreachable(detail=f"no token: {error.detail}{_hint(error)}") from error
        header = f"Bearer {record.access_token}"
        if generation != self._generation:
            self._retired.append(header)
            return header
        now = self._clock.monotonic()
        life = token_life(record)
        self._header = header
        self._renew_at = now + life * REFRESH_AT
        self._expires_at = now + life
        return header


def _hint(error: UpstreamError) -> str:
    """Wrong credentials are answered 400, 401 or 500, depending on Airbyte's edition and build."""
    if isinstance(error, UpstreamRefused) or error.detail.startswith("500"):
        return "; check airbyte.client_id and airbyte.client_secret"
    return ""


def token_life(record: TokenRecord) -> float:
    """Seconds the token may be used: the smaller of `expires_in` and the JWT's own `exp - iat`.

    `expires_in` comes from today's configuration, the JWT from the application's creation; either may be wrong,
    missing or of the wrong type. Neither needs our wall clock to be right.
    """
    stated = [life for life in (_number(record.expires_in), _jwt_life(record.access_token)) if life is not None]
    return min(max(min(stated, default=UNSTATED_LIFE_SECONDS), SHORTEST_LIFE_SECONDS), LONGEST_LIFE_SECONDS)


def _jwt_life(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature (RFC 7519)
        return None
    try:
        claims: Any = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    issued, expires = _number(claims.get("iat")), _number(claims.get("exp"))
    return None if issued is None or expires is None else expires - issued


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
