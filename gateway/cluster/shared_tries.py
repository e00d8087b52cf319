"""Count the tries of passwords for all gateways together, and a share of them in each while Valkey is unavailable."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gateway.cluster.known_buckets import KnownBuckets
from gateway.cluster.scripts import FORGET_BUCKET, GIVE_BACK_TOKEN, TAKE_TOKENS, BackendUnavailable, Runner
from gateway.limiter import Decision, Reservation
from gateway.models import RatePolicy

TRIES_PREFIX = "gateway:tries:"


class SharedTries:
    """A bucket in Valkey for each name. The local ones count only what was decided without it.

    A Valkey that is restarted forgets the tries. No gateway remembers them for it: another one may have forgiven them.
    """

    def __init__(self, valkey: Runner, *, peers: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """`peers` tells how many gateways there are, this one among them."""
        self._valkey = valkey
        self._peers = peers
        self._monotonic = monotonic
        self._local = KnownBuckets(RatePolicy(1, 1))

    async def reserve(self, name: str, policy: RatePolicy) -> Reservation:
        """Count a try beforehand. Never fails, and answers within the patience."""
        key, whole = TRIES_PREFIX + name, policy.requests
        try:
            (taken,) = await self._valkey.run(TAKE_TOKENS, (key,), (whole, policy.per_seconds, whole))
        except BackendUnavailable:
            return self._reserve_share(name, policy)
        decision = Decision(taken.allowed, policy, taken.remaining, taken.next_token_seconds)
        return Reservation(decision, partial(self._forgive, name), partial(self._give_back, name))

    def _reserve_share(self, name: str, policy: RatePolicy) -> Reservation:
        gateways = self._peers()

        async def give_back() -> None:
            self._local.give_back(name, gateways)

        decision = self._local.take_share(name, policy, gateways, self._monotonic())
        return Reservation(decision, partial(self._forgive, name), give_back)

    async def _forgive(self, name: str) -> None:
        self._local.forget(name)
        with suppress(BackendUnavailable):  # The bucket refills by itself.
            await self._valkey.run(FORGET_BUCKET, (TRIES_PREFIX + name,), ())

    async def _give_back(self, name: str) -> None:
        with suppress(BackendUnavailable):  # The bucket refills by itself.
            await self._valkey.run(GIVE_BACK_TOKEN, (TRIES_PREFIX + name,), ())
