"""Keep one rate limit for all gateways together, and a share of it in each while Valkey is unavailable."""

from collections.abc import Callable
from contextlib import suppress

from gateway.cluster.known_buckets import KnownBucket, KnownBuckets, take_shares
from gateway.cluster.scripts import GIVE_BACK_TOKEN, TAKE_TOKENS, BackendUnavailable, Runner
from gateway.limiter import NEW_KEYS, WEBHOOK_FORMS, Decision, both, of_client, total_rate
from gateway.models import ClientLimit, Principal, RatePolicy

BUCKET_PREFIX = "gateway:bucket:"
NEW_KEYS_BUCKET = "new-keys"
WEBHOOK_FORMS_BUCKET = "webhook-forms"
FASTER = 1.001
"""This gateway's clock runs ahead of the server's by more than any two clocks differ, so that what it knows is never
less than what is there: who obeys a Retry-After always succeeds."""


class SharedLimiter:
    """The buckets of keys and of clients in Valkey; this gateway remembers what it last knew of each that is not full.

    A server that lost a bucket fills none a second time: each gateway allows no more than its own memory of the bucket
    does. Two gateways so allow together twice the limit at most, whatever the server does and however calls are spread.
    """

    def __init__(
        self,
        default: RatePolicy,
        valkey: Runner,
        *,
        most_active: int,
        peers: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        """`default` and `most_active`: as of `CallLimiter`. `peers` tells how many gateways there are, this one too."""
        self.default = default
        self._valkey = valkey
        self._most_active = most_active
        self._peers = peers
        self._monotonic = monotonic
        self._keys = KnownBuckets(default)
        self._clients = KnownBuckets(default)

    def __len__(self) -> int:
        """Return how many keys' buckets are not full."""
        return len(self._keys)

    async def take(self, principal: Principal) -> Decision:
        """Take one token of the key's and one of its client's, or neither.

        Never fails, and answers within the patience.
        """
        client_id = principal.client.id
        name = _name(client_id, principal.bucket_id or principal.key_id)
        key = KnownBucket(self._keys, name, principal.rate or self.default)
        decision, client = await self._take(key, self._of_client(client_id, principal.limit))
        return both(decision, client)

    def look(self, principal: Principal) -> Decision:
        """Say what is left for the key, as far as this gateway knows. Takes nothing and asks nobody."""
        name = _name(principal.client.id, principal.bucket_id or principal.key_id)
        return self._keys.look(name, principal.rate or self.default, self._now())

    def rate_of_client(self, limit: ClientLimit) -> RatePolicy:
        """Return the rate of all calls of a client."""
        return total_rate(limit, self.default, self._most_active)

    async def take_of_client(self, client_id: int, limit: ClientLimit) -> Decision:
        """Take one token of the client's alone, for what its members do on the pages. Never fails."""
        (decision,) = await self._take(self._of_client(client_id, limit))
        return of_client(decision)

    async def take_new_key(self, client_id: int) -> Decision:
        """Take one of the client's tokens for new keys. Never fails."""
        (decision,) = await self._take(KnownBucket(self._clients, _name(client_id, NEW_KEYS_BUCKET), NEW_KEYS))
        return decision

    async def give_back_new_key(self, client_id: int) -> None:
        """Give the token for a new key back, because none was made. Never fails."""
        name = _name(client_id, NEW_KEYS_BUCKET)
        self._clients.give_back(name)
        with suppress(BackendUnavailable):  # The bucket refills by itself.
            await self._valkey.run(GIVE_BACK_TOKEN, (BUCKET_PREFIX + name,), ())

    async def take_webhook_form(self, client_id: int) -> Decision:
        """Take one of the client's tokens for forms about webhooks. Never fails."""
        name = _name(client_id, WEBHOOK_FORMS_BUCKET)
        (decision,) = await self._take(KnownBucket(self._clients, name, WEBHOOK_FORMS))
        return decision

    def change_default(self, policy: RatePolicy) -> None:
        """Change the rate of keys without one of their own. A bucket keeps its tokens as far as they fit."""
        self.default = policy

    def _of_client(self, client_id: int, limit: ClientLimit) -> KnownBucket:
        return KnownBucket(self._clients, _name(client_id, "client"), self.rate_of_client(limit))

    async def _take(self, *buckets: KnownBucket) -> list[Decision]:
        """Take a token from each bucket or from none; return what each says, in this order."""
        asked_at = self._now()
        arguments = [
            argument
            for each in buckets
            for argument in (each.policy.requests, each.policy.per_seconds, each.tokens(asked_at))
        ]
        try:
            taken = await self._valkey.run(TAKE_TOKENS, [BUCKET_PREFIX + each.name for each in buckets], arguments)
        except BackendUnavailable:
            return take_shares(buckets, self._peers(), self._now())
        for bucket, answer in zip(buckets, taken, strict=True):
            bucket.learn(answer.tokens, asked_at)
        return [
            Decision(answer.allowed, bucket.policy, answer.remaining, answer.next_token_seconds)
            for bucket, answer in zip(buckets, taken, strict=True)
        ]

    def _now(self) -> float:
        return self._monotonic() * FASTER


def _name(client_id: int, what: str) -> str:
    """Return a bucket's name. By the braces all of a client's are in one slot, where one script may take from several
    (valkey.io/topics/cluster-spec, hash tags).
    """
    return f"{{{client_id}}}:{what}"
