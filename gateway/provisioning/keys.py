"""What operators and clients do with API keys: create, rotate, revoke. Each writes its entry of the activity log."""

from collections.abc import Callable

import msgspec

from gateway import validation
from gateway.auth import keys
from gateway.errors import InvalidInput, UnknownRecord
from gateway.models import COMMAND_LINE, Actor, ApiKey, RatePolicy, Scope, activity_entry
from gateway.store import Store
from gateway.times import Clock, format_time, later, parse_time


class NewKey(msgspec.Struct, frozen=True):
    """A key at the only moment its text is known."""

    record: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.record.id})"


class KeyService:
    """API keys. `choice` picks a random character; `by` is who the activity log says it was.

    Where `client_id` is given, a key or slug that is not that client's is as unknown as one that never was.
    """

    def __init__(self, store: Store, clock: Clock, choice: Callable[[str], str], *, most_active: int) -> None:
        """`most_active`: how many keys may work of a client that has no figure of its own."""
        self._most_active = most_active
        self._clients = store.clients
        self._keys = store.api_keys
        self._clock = clock
        self._choice = choice

    async def create(
        self,
        client_slug: str,
        *,
        name: str,
        scope: Scope,
        expires: str | None,
        rate: str | None,
        client_id: int | None = None,
        key_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> NewKey:
        """Create a key.

        Raises InvalidInput, also if as many keys work as may; UnknownRecord; Duplicate if a given `key_id` is taken.
        """
        client = await self._clients.by_slug(client_slug)
        if client_id not in {None, client.id}:
            raise UnknownRecord(f"the client {client_slug!r} was removed")
        new = self._mint(
            key_id,
            client.id,
            name=validation.text("the name", name),
            scope=scope,
            rate=None if rate is None else validation.rate(rate),
            expires_at=None if expires is None else validation.expiry(expires, self._clock.now()),
        )
        entry = activity_entry(by, "key.create", new.record, at=self._now())
        await self._keys.add(new.record, digest=keys.digest(new.text), most=self._most_active, entry=entry)
        return new

    async def rotate(
        self,
        key_id: str,
        *,
        overlap: str,
        client_id: int | None = None,
        new_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> NewKey:
        """Create a successor like the old key, which ends after `overlap`. Raises InvalidInput, UnknownRecord.

        The successor of a key that had an end lives as long from now. It goes on with the old key's tokens: whoever
        rotates calls no more often.
        """
        old = await self._key(key_id, client_id)
        now = self._clock.now()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= format_time(now)):
            raise InvalidInput(f"the key {key_id} is revoked or expired; create a new one")
        if old.successor_id is not None:
            raise InvalidInput(f"the key {key_id} was rotated already; its successor is {old.successor_id}")
        life = None if old.expires_at is None else parse_time(old.expires_at) - parse_time(old.created_at)
        expires_at = None if life is None else format_time(later(now, life))
        new = self._mint(new_id, old.client_id, name=old.name, scope=old.scope, rate=old.rate, expires_at=expires_at)
        new = NewKey(msgspec.structs.replace(new.record, bucket_id=old.bucket_id or old.id), new.text)
        await self._keys.replace(
            old,
            new.record,
            digest=keys.digest(new.text),
            old_expires_at=validation.overlap(overlap, now),
            most=self._most_active,
            entry=activity_entry(by, "key.rotate", old, at=self._now(), successor=new.record),
        )
        return new

    async def revoke(self, key_id: str, *, client_id: int | None = None, by: Actor = COMMAND_LINE) -> ApiKey:
        """Refuse the key from the next request on. Raises UnknownRecord."""
        key = await self._key(key_id, client_id)
        entry = activity_entry(by, "key.revoke", key, at=self._now())
        await self._keys.revoke(key.client_id, key.id, at=self._now(), entry=entry)
        return await self._keys.by_id(key.client_id, key.id)

    async def _key(self, key_id: str, client_id: int | None) -> ApiKey:
        if client_id is None:
            return await self._keys.any_by_id(key_id)
        return await self._keys.by_id(client_id, key_id)

    def _mint(
        self,
        key_id: str | None,
        client_id: int,
        *,
        name: str,
        scope: Scope,
        rate: RatePolicy | None,
        expires_at: str | None,
    ) -> NewKey:
        text = keys.mint(self._choice)
        record = ApiKey(
            id=key_id or keys.mint_id("key", self._choice),
            client_id=client_id,
            start=keys.display_start(text),
            name=name,
            scope=scope,
            created_at=self._now(),
            rate=rate,
            expires_at=expires_at,
        )
        return NewKey(record, text)

    def _now(self) -> str:
        return format_time(self._clock.now())
