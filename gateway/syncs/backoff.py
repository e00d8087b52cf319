"""Leave alone what failed, each time for longer, so that it costs the others nothing and is still returned to."""

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from gateway.syncs.timings import BackoffTimings
from gateway.times import Clock

Key = TypeVar("Key")


class _Pause(msgspec.Struct, frozen=True):
    until: float
    seconds: float


class Backoff(Generic[Key]):
    """Pauses by key, in this process's memory."""

    def __init__(self, clock: Clock, timings: BackoffTimings) -> None:
        self._clock = clock
        self._timings = timings
        self._pauses: dict[Key, _Pause] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._pauses

    def keys(self) -> Iterable[Key]:
        """Return what failed last time."""
        return self._pauses.keys()

    def is_due(self, key: Key) -> bool:
        """Return whether `key` may be tried now."""
        pause = self._pauses.get(key)
        return pause is None or pause.until <= self._clock.monotonic()

    def fail(self, key: Key) -> None:
        """Pause `key`, for twice as long as the last time."""
        known = self._pauses.get(key)
        seconds = self._timings.first if known is None else min(2 * known.seconds, self._timings.longest)
        self._pauses[key] = _Pause(self._clock.monotonic() + seconds, seconds)

    def forget(self, key: Key) -> None:
        """End the pauses of `key`, because it succeeded."""
        self._pauses.pop(key, None)

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Forget all but `keys`: the others are no longer asked for."""
        kept = set(keys)
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in kept}
