"""Scripts that run inside Valkey, each in one step. All of them go by the server's clock."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.limiter import ROUNDING

SERVER_TIME = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
"""

BUCKET = f"""
local requests, per_seconds, rounding = tonumber(ARGV[1]), tonumber(ARGV[2]), {ROUNDING!r}
local rate = requests / per_seconds
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'updated')
local tokens, updated = tonumber(kept[1]) or requests, tonumber(kept[2]) or now
if now > updated then tokens = tokens + (now - updated) * rate end
tokens = math.min(tokens, requests)
local allowed = tokens >= 1 - rounding
if allowed then tokens = tokens - 1 end
local remaining = math.floor(tokens + rounding)
local missing = math.min(remaining + 1, requests) - tokens
local seconds = math.max(math.ceil((missing - rounding / 2) / rate), allowed and 0 or 1)
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'updated', string.format('%.17g', now))
"""
"""`gateway.limiter.TokenBucket.take`, operation by operation."""

EXPIRY = """
redis.call('PEXPIRE', KEYS[1], math.ceil((requests - tokens) / rate * 1000) + 1)
"""
"""A bucket that would be full is no longer needed."""

DECISION = """
return {allowed and 1 or 0, remaining, seconds}
"""

ACQUIRE_TEXT = """
local size, of_kind, until_time = tonumber(ARGV[1]), tonumber(ARGV[2]), now + tonumber(ARGV[3])
local mine, others = 0, 0
for number, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    if number == 1 then mine = redis.call('ZCARD', key) else others = others + redis.call('ZCARD', key) end
end
if mine >= of_kind or mine + others >= size then return 0 end
redis.call('ZADD', KEYS[1], until_time, ARGV[4])
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3]) * 1000) + 1)
return 1
"""

RENEW_TEXT = """
for number = 2, #ARGV do
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[number])
end
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[1]) * 1000) + 1)
return 1
"""
"""Also permits that were taken while the server was unavailable, or before it was restarted."""

RELEASE_TEXT = """
return redis.call('ZREM', KEYS[1], ARGV[1])
"""


@dataclass(frozen=True)
class Script:
    """`digest` is what the server knows it by, once it was loaded."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


TAKE_TOKEN = Script(SERVER_TIME + BUCKET + EXPIRY + DECISION)
ACQUIRE_PERMIT = Script(SERVER_TIME + ACQUIRE_TEXT)
RENEW_PERMITS = Script(SERVER_TIME + RENEW_TEXT)
RELEASE_PERMIT = Script(RELEASE_TEXT)

Argument = str | int | float | bytes


class BackendUnavailable(Exception):
    """Valkey did not answer in time or not well: decide without it."""


@dataclass(frozen=True)
class ServerFacts:
    """What an operator wants to know of the server. `limit_bytes` 0: it takes as much memory as there is."""

    name: str
    eviction: str
    limit_bytes: int


class Runner(Protocol):
    """Runs scripts on the server that all gateways share."""

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script and return what it returns. Raises BackendUnavailable, and soon."""
        ...
