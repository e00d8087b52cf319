"""A throttle on guessing keys: bounds what guesses cost, per address. Pure arithmetic; the time is an argument.

Only a guess with a right checksum, of a key not seen to be good, costs a read of the database. An address that made
many of them shares two lookup queues with all others like it, so guesses cost at most 20 reads a second. Why a good
key still gets in, from that very address:
- one that was accepted once since the start is remembered and never looks at the throttle;
- one not seen yet waits its turn, under a second; if too many wait it is refused like a guess, but remembered, and at
  its next try has the second lookup queue, where guesses are not: the same guess twice tells nobody anything.
"""

import ipaddress
from collections.abc import MutableMapping
from typing import TypeVar

FREE_FAILURES = 30
"""For each address, regained over a minute: a wrong key in a script is no attack."""
FAILURES_PER_SECOND = FREE_FAILURES / 60
READS_PER_SECOND = 10.0
"""Of each lookup queue: half a per cent of 2000 guesses a second."""
LONGEST_WAIT_SECONDS = 0.8
ADDRESSES = 10_000
KNOWN_KEYS = 10_000
TURNED_AWAY = 10_000

Key = TypeVar("Key")
Value = TypeVar("Value")


class LookupQueue:
    """One read after another, at a pace."""

    __slots__ = ("_free_at",)

    def __init__(self) -> None:
        self._free_at = float("-inf")

    def take(self, now: float) -> float | None:
        """Seconds until the turn taken; None when too many wait."""
        wait = max(0.0, self._free_at - now)
        if wait > LONGEST_WAIT_SECONDS:
            return None
        self._free_at = now + wait + 1 / READS_PER_SECOND
        return wait


class AuthThrottle:
    """Who guesses, which keys are good, and whose turn it is. For one event loop."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[float, float]] = {}
        self._known: dict[bytes, None] = {}
        self._turned_away: dict[bytes, None] = {}
        self._first_queue = LookupQueue()
        self._second_queue = LookupQueue()

    def wait_seconds(self, address: str, digest: bytes, now: float) -> float | None:
        """How long to wait before looking the key up; None to refuse it without looking."""
        if digest in self._known or not self._failures or not self._is_pressed(block_of(address), now):
            return 0.0
        if digest in self._turned_away:
            return self._second_queue.take(now)
        wait = self._first_queue.take(now)
        if wait is None:
            _put(self._turned_away, digest, None, most=TURNED_AWAY)
        return wait

    def note_good(self, digest: bytes) -> None:
        if digest not in self._known:
            _put(self._known, digest, None, most=KNOWN_KEYS)

    def note_bad(self, address: str, digest: bytes, now: float) -> None:
        self._known.pop(digest, None)
        block = block_of(address)
        _put(self._failures, block, (self._level(block, now) + 1, now), most=ADDRESSES)

    def _is_pressed(self, block: str, now: float) -> bool:
        return self._level(block, now) >= FREE_FAILURES

    def _level(self, block: str, now: float) -> float:
        level, updated = self._failures.get(block, (0.0, now))
        return max(0.0, level - max(0.0, now - updated) * FAILURES_PER_SECOND)


def _put(mapping: MutableMapping[Key, Value], key: Key, value: Value, *, most: int) -> None:
    """Put it last; the one put longest ago goes when there are too many."""
    mapping.pop(key, None)
    mapping[key] = value
    if len(mapping) > most:
        del mapping[next(iter(mapping))]


def block_of(address: str) -> str:
    """What one person has: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address[:64]
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()
