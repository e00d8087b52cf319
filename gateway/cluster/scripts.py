"""Scripts that run inside Valkey, each in one step. All of them go by the server's clock."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gateway.cluster.answers import (
    MILLIONTHS,
    Argument,
    as_tokens_taken,
    as_written,
    as_yes_or_no,
)
from gateway.limiter import ROUNDING

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SERVER_TIME = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
"""

BUCKETS = f"""
local rounding = {ROUNDING!r}
local buckets, all = {{}}, true
for number, key in ipairs(KEYS) do
    local requests, per_seconds = tonumber(ARGV[number * 3 - 2]), tonumber(ARGV[number * 3 - 1])
    local known = tonumber(ARGV[number * 3])
    local rate = requests / per_seconds
    local kept = redis.call('HMGET', key, 'tokens', 'updated')
    local tokens, updated = tonumber(kept[1]) or requests, tonumber(kept[2]) or now
    if now > updated then tokens = tokens + (now - updated) * rate end
    tokens = math.min(tokens, requests, known)
    local allowed = tokens >= 1 - rounding
    all = all and allowed
    buckets[number] = {{requests = requests, rate = rate, tokens = tokens, allowed = allowed}}
end
"""
"""`gateway.limiter.TokenBucket`, operation by operation, from no more tokens than the gateway knows of.

A server that lost buckets (restarted, emptied, failed over) so gets them back from the gateways that use them. Each
bucket's arguments are its policy and what is known of it.
"""

TAKE = f"""
local answer = {{}}
for number, key in ipairs(KEYS) do
    local bucket = buckets[number]
    local tokens, requests, allowed = bucket.tokens, bucket.requests, bucket.allowed
    if all then tokens = tokens - 1 end
    local remaining = math.floor(tokens + rounding)
    local missing = math.min(remaining + 1, requests) - tokens
    local seconds = math.max(math.ceil((missing - rounding / 2) / bucket.rate), allowed and 0 or 1)
    redis.call('HSET', key, 'tokens', string.format('%.17g', tokens), 'updated', string.format('%.17g', now))
    redis.call('PEXPIRE', key, math.ceil((requests - tokens) / bucket.rate * 1000) + 1)
    local left = math.max(math.ceil(tokens * {MILLIONTHS}), 0)
    for _, figure in ipairs({{allowed and 1 or 0, remaining, seconds, left}}) do table.insert(answer, figure) end
end
return answer
"""
"""From all buckets or from none. One that would be full is no longer needed, so it expires.

Valkey returns whole numbers only; rounded down, what is known would fall behind the bucket with each call.
"""

GIVE_BACK_TEXT = """
local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens'))
if tokens then redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens + 1)) end
return 1
"""
"""A bucket that is too full by it is full for whoever takes from it next."""

CALLER_FROM = 18
"""Where in a permit its caller begins, after 16 characters of its own and a separator."""

ACQUIRE_TEXT = f"""
local size, of_kind, of_caller = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local of_clients, of_caller_in = tonumber(ARGV[4]), tonumber(ARGV[5])
local hold_seconds, permit = tonumber(ARGV[6]), ARGV[7]
local caller = string.sub(permit, {CALLER_FROM})
local mine, all, callers, clients, callers_in = 0, 0, 0, 0, 0
for number, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    for _, held in ipairs(redis.call('ZRANGE', key, 0, -1)) do
        if held == permit then return 1 end
        local holder = string.sub(held, {CALLER_FROM})
        all = all + 1
        if holder == caller then callers = callers + 1 end
        if number == 1 then
            mine = mine + 1
            if holder == caller then callers_in = callers_in + 1 end
            if string.match(holder, '^%d+$') then clients = clients + 1 end
        end
    end
end
if mine >= of_kind or all >= size or callers >= of_caller then return 0 end
if clients >= of_clients or callers_in >= of_caller_in then return 0 end
redis.call('ZADD', KEYS[1], now + hold_seconds, permit)
redis.call('PEXPIRE', KEYS[1], math.ceil(hold_seconds * 1000) + 1)
return 1
"""
"""A permit whose answer was late is held by who asks for it again. There are 64 permits at most to look through.

A client's caller is a number, the gateway's own is none: of each kind the clients leave what `Bulkhead` has them leave.
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

PROBE_TEXT = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', 1000)
return redis.call('GET', KEYS[1])
"""

FORGET_TEXT = """
return redis.call('DEL', KEYS[1])
"""


@dataclass(frozen=True)
class Script(Generic[T_co]):
    """`read` tells what an answer means, given the arguments; `digest` is what the server knows a loaded script by."""

    text: str
    read: Callable[[object, Sequence[Argument]], T_co] = field(repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


TAKE_TOKENS = Script(SERVER_TIME + BUCKETS + TAKE, as_tokens_taken)
GIVE_BACK_TOKEN = Script(GIVE_BACK_TEXT, as_yes_or_no)
ACQUIRE_PERMIT = Script(SERVER_TIME + ACQUIRE_TEXT, as_yes_or_no)
RENEW_PERMITS = Script(SERVER_TIME + RENEW_TEXT, as_yes_or_no)
RELEASE_PERMIT = Script(RELEASE_TEXT, as_yes_or_no)
FORGET_BUCKET = Script(FORGET_TEXT, as_yes_or_no)
PROBE = Script(PROBE_TEXT, as_written)
"""Proves what a decision needs: that a script runs, writes, and that its answer comes back whole."""


class BackendUnavailable(Exception):
    """Valkey did not answer in time or not well: decide without it."""


class BackendReadOnly(BackendUnavailable):
    """Valkey takes no writes: it is a replica, or was made one by a failover."""


@dataclass(frozen=True)
class ServerFacts:
    """What an operator wants to know of the server. `limit_bytes` 0: it takes as much memory as there is."""

    name: str
    eviction: str
    limit_bytes: int
    is_replica: bool


class Runner(Protocol):
    """Runs scripts on the server that all gateways share."""

    async def run(self, script: Script[T], keys: Sequence[str], arguments: Sequence[Argument]) -> T:
        """Run a script and return what it returned, checked. Raises BackendUnavailable, and soon."""
        ...
