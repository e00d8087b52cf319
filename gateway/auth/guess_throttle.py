"""Throttle failed authentication per address, so that guessed keys cannot overload the database.

Only a key with a right checksum that is not known to be good costs a look-up. Addresses with many failures share a
queue of ten look-ups a second. A good key gets in from such an address too: accepted once since the start, it skips the
queue; refused by a full one, it retries in a second queue, where new guesses are not. No I/O; `now` is an argument.
"""

import ipaddress
from collections.abc import MutableMapping
from typing import TypeVar

FREE_FAILURES = 30
"""For each address, regained over a minute: a wrong key in a script is no attack."""
FAILURES_PER_SECOND = FREE_FAILURES / 60
LOOKUPS_PER_SECOND = 10.0
"""Of each queue: half a per cent of 2000 guesses a second."""
MOST_ADDRESSES = 10_000
MOST_GOOD_KEYS = 10_000
MOST_REFUSED_KEYS = 10_000
"""Bounds of memory: what was noted longest ago is forgotten first."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class LookupQueue:
    """Look-ups one after another, ten a second."""

    __slots__ = ("_free_at", "_longest_wait")

    def __init__(self, *, longest_wait: float) -> None:
        self._longest_wait = longest_wait
        self._free_at = float("-inf")

    def is_full(self, now: float) -> bool:
        """Return whether who joined now would wait too long."""
        return self._free_at - now > self._longest_wait

    def join(self, now: float) -> float | None:
        """Join the queue and return the seconds to wait; None when it is full."""
        if self.is_full(now):
            return None
        wait = max(0.0, self._free_at - now)
        self._free_at = now + wait + 1 / LOOKUPS_PER_SECOND
        return wait


class AuthThrottle:
    """Failures by address, and which keys are good. For one event loop."""

    def __init__(self, *, longest_wait: float) -> None:
        """`longest_wait`: seconds that a look-up waits."""
        self._failures: dict[str, tuple[float, float]] = {}
        self._good: dict[bytes, None] = {}
        self._refused: dict[bytes, None] = {}
        self._first_queue = LookupQueue(longest_wait=longest_wait)
        self._second_queue = LookupQueue(longest_wait=longest_wait)

    def wait_seconds(self, address: str, digest: bytes, now: float) -> float | None:
        """Return how long to wait before looking the key up; None to refuse it without looking."""
        if digest in self._good or not self._failures or not self._is_throttled(block_of(address), now):
            return 0.0
        if digest in self._refused:
            return self._second_queue.join(now)
        wait = self._first_queue.join(now)
        if wait is None:
            _put(self._refused, digest, None, most=MOST_REFUSED_KEYS)
        return wait

    def refuses(self, address: str, digest: bytes, now: float) -> bool:
        """Return whether a key that was refused without looking still would be. Nothing is noted."""
        return (
            digest in self._refused
            and digest not in self._good
            and self._is_throttled(block_of(address), now)
            and self._second_queue.is_full(now)
        )

    def note_good(self, digest: bytes) -> None:
        """Remember that the key was accepted."""
        if digest not in self._good:
            _put(self._good, digest, None, most=MOST_GOOD_KEYS)

    def note_bad(self, address: str, digest: bytes, now: float) -> None:
        """Count a failure of the address, and forget that the key was ever good."""
        self._good.pop(digest, None)
        block = block_of(address)
        _put(self._failures, block, (self._failures_left(block, now) + 1, now), most=MOST_ADDRESSES)

    def _is_throttled(self, block: str, now: float) -> bool:
        return self._failures_left(block, now) >= FREE_FAILURES

    def _failures_left(self, block: str, now: float) -> float:
        """Return the failures that count at `now`: they wear off evenly."""
        failures, updated = self._failures.get(block, (0.0, now))
        return max(0.0, failures - max(0.0, now - updated) * FAILURES_PER_SECOND)


def _put(mapping: MutableMapping[Key, Value], key: Key, value: Value, *, most: int) -> None:
    """Put it last, and delete the one put longest ago when there are too many."""
    mapping.pop(key, None)
    mapping[key] = value
    if len(mapping) > most:
        del mapping[next(iter(mapping))]


def block_of(address: str) -> str:
    """Return what one person has: an IPv4 address, or the /64 of an IPv6 one in hexadecimal."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address[:64]
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()
