"""Clients, their API keys, and how often those may call."""

from datetime import datetime
from typing import Literal

import msgspec

Scope = Literal["full", "read"]
SCOPES: tuple[Scope, ...] = ("full", "read")


class RatePolicy(msgspec.Struct, frozen=True, cache_hash=True):
    """A token bucket's shape: `requests` tokens at most, refilled evenly over `per_seconds`.

    Its hash is cached, as a client's limit's is: each call looks up by both.
    """

    requests: int
    per_seconds: int

    @property
    def tokens_per_second(self) -> float:
        """How fast a bucket fills."""
        return self.requests / self.per_seconds


class Client(msgspec.Struct, frozen=True):
    """A tenant: one of the operator's customers."""

    id: int
    slug: str
    name: str
    plan: str
    created_at: str
    rate: RatePolicy | None = None
    """Of each of its keys that has none of its own; None: what the settings say."""
    disabled_at: str | None = None
    rate_total: RatePolicy | None = None
    """Of all its keys together; None: what its keys need (`gateway.limiter.total_rate`)."""
    most_keys: int | None = None
    """How many of its keys may work at once; None: what the settings say."""


class ApiKey(msgspec.Struct, frozen=True):
    """What is known of a key after it was shown once: never the key itself."""

    id: str
    client_id: int
    start: str
    name: str
    scope: Scope
    created_at: str
    rate: RatePolicy | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = None
    last_used_address: str | None = None
    last_used_agent: str | None = None
    successor_id: str | None = None
    bucket_id: str | None = None
    """The key whose tokens it goes on with; None: its own."""


class WorkingKeys(msgspec.Struct, frozen=True):
    """How many working keys of a client have the same rate; None: the client's. Keys that share tokens count once."""

    rate: RatePolicy | None
    count: int


class ClientLimit(msgspec.Struct, frozen=True, cache_hash=True):
    """What the rate of all calls of a client follows from. None: what the settings say."""

    total: RatePolicy | None = None
    rate: RatePolicy | None = None
    most_keys: int | None = None
    working: tuple[WorkingKeys, ...] = ()


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who is calling: a client through one of its keys. There are very many, and none leads back to itself."""

    client: Client
    key_id: str
    scope: Scope
    rate: RatePolicy | None = None
    expires_at: datetime | None = None
    """Compared on every request, so kept as a moment."""
    bucket_id: str | None = None
    """The key whose tokens it takes; None: its own."""
    limit: ClientLimit = ClientLimit()
