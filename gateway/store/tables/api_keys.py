"""Every statement about the table `api_keys` but the writing of last uses (see `usage`), and each request's look-up.

Whatever changes a key takes the `entry` that tells of it and writes both or neither; no change, no entry.
"""

import json
from collections.abc import Collection, Hashable
from functools import lru_cache
from typing import TypeVar

import msgspec

from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import ActivityEntry, ApiKey, Client, ClientLimit, Principal, WorkingKeys
from gateway.store.database import ConstraintViolated, Database, Parameters, Transaction, Unit
from gateway.store.pruning import prune
from gateway.store.read_cache import ReadCache
from gateway.store.tables import activity
from gateway.store.tables.clients import client_from, rate_columns, rate_from
from gateway.store.tables.events import EventWriter
from gateway.store.tables.key_events import key_event
from gateway.store.tables.key_rows import key_from, select_keys
from gateway.times import Clock, format_time, parse_time

CACHED_KEYS = 150_000
SHARED_RECORDS = 20_000
"""Clients, their limits and their keys' ends: what the keys of a client have in common is in memory once."""
WORKING = """
    SELECT number FROM api_keys WHERE client_id = :client_id AND revoked_at IS NULL AND expires_at IS NULL
    UNION ALL
    SELECT number FROM api_keys WHERE client_id = :client_id AND revoked_at IS NULL AND expires_at > :now
"""
"""The keys of a client that work. In two halves, each of which an index answers: many more keys have ended."""


Record = TypeVar("Record", bound=Hashable)


@lru_cache(SHARED_RECORDS)
def _same(record: Record) -> Record:
    """Return the first of all equal records: without it 100,000 keys of 1,000 clients take half as much more."""
    return record


class ApiKeys:
    """Keys, by digest for requests and by id for people.

    Every method but `forget` and `remembered` raises StorageUnavailable.
    """

    def __init__(self, database: Database, clock: Clock, events: EventWriter) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._principals: ReadCache[bytes, Principal | None] = ReadCache(
            database, self._load, maxsize=CACHED_KEYS, owner_of=_client_of
        )
        self._working: ReadCache[int, tuple[WorkingKeys, ...]] = ReadCache(
            database, self._load_working, maxsize=SHARED_RECORDS, owner_of=lambda client_id, _: client_id
        )
        """Of each client: to count a thousand takes ten times as long as to read one."""

    def forget(self, client_id: int) -> None:
        """Read the client's keys again when they are next asked for, and what was unknown: it may be the client's."""
        self._principals.forget(client_id)
        self._principals.forget(None)
        self._working.forget(client_id)

    def remembered(self, digest: bytes) -> Principal | None:
        """Return what `principal` would if it is in memory; None says nothing."""
        return self._principals.peek(digest)

    async def principal(self, digest: bytes) -> Principal | None:
        """Return whose key this is; None if unknown, revoked or its client disabled. The caller checks expiry."""
        return await self._principals.get(digest)

    async def _load(self, digest: bytes) -> Principal | None:
        row = await self._database.fetch_one(
            """
            SELECT clients.*, api_keys.id AS key_id, api_keys.scope, api_keys.expires_at, api_keys.bucket_id,
                api_keys.rate_requests AS key_requests, api_keys.rate_seconds AS key_seconds
            FROM api_keys JOIN clients ON clients.id = api_keys.client_id
            WHERE digest = :digest AND revoked_at IS NULL AND disabled_at IS NULL
            """,
            {"digest": digest},
        )
        if row is None:
            return None
        client = _same(client_from(row))
        return Principal(
            client=client,
            key_id=row["key_id"],
            scope=_same(row["scope"]),
            rate=rate_from(row["key_requests"], row["key_seconds"]) or client.rate,
            expires_at=None if row["expires_at"] is None else _same(parse_time(row["expires_at"])),
            bucket_id=row["bucket_id"],
            limit=_same(await self.limit_of(client)),
        )

    async def limit_of(self, client: Client) -> ClientLimit:
        """Return what the rate of all the client's calls follows from."""
        return ClientLimit(
            total=client.rate_total,
            rate=client.rate,
            most_keys=client.most_keys,
            working=await self._working.get(client.id),
        )

    async def _load_working(self, client_id: int) -> tuple[WorkingKeys, ...]:
        rows = await self._database.fetch_all(
            f"""
            SELECT rate_requests, rate_seconds, count(*) AS keys
            FROM (
                SELECT DISTINCT coalesce(bucket_id, id) AS bucket, rate_requests, rate_seconds
                FROM api_keys WHERE number IN ({WORKING})
            ) AS buckets
            GROUP BY rate_requests, rate_seconds ORDER BY coalesce(rate_requests, 0), rate_seconds
            """,  # noqa: S608 - ours
            {"client_id": client_id, "now": format_time(self._clock.now())},
        )
        return tuple(WorkingKeys(rate_from(row["rate_requests"], row["rate_seconds"]), row["keys"]) for row in rows)

    async def add(
        self, key: ApiKey, *, digest: bytes, most: int | None = None, entry: ActivityEntry | None = None
    ) -> None:
        """Add the key. `most`: how many keys of a client may work that has no figure of its own; None: not asked.

        Raises Duplicate if the id is taken, InvalidInput if so many work already.
        """

        async def write(transaction: Transaction) -> None:
            if most is not None:
                await _require_room(transaction, key, most)
            await _insert(transaction, key, digest, entry)
            await self._events.write(transaction, [key_event("key.created", key, at=key.created_at)])

        try:
            await self._write(key.client_id, write)
        except ConstraintViolated as error:
            if error.constraint != "api_keys.id":
                raise
            raise Duplicate(f"there already is a key {key.id}") from None

    async def replace(
        self,
        old: ApiKey,
        new: ApiKey,
        *,
        digest: bytes,
        old_expires_at: str,
        most: int | None = None,
        entry: ActivityEntry | None = None,
    ) -> None:
        """Add `new` and end `old` at `old_expires_at`, or sooner if it ends sooner, in one transaction.

        Raises InvalidInput if `old` has been replaced, revoked or removed since it was read; also if both would work
        and so many do already, as `add`.
        """

        async def write(transaction: Transaction) -> None:
            ended = await transaction.execute_fetchall(
                """
                UPDATE api_keys
                SET expires_at = CASE WHEN expires_at < :at THEN expires_at ELSE :at END, successor_id = :successor_id
                WHERE client_id = :client_id AND id = :id AND successor_id IS NULL AND revoked_at IS NULL RETURNING 1
                """,
                {"at": old_expires_at, "successor_id": new.id, "client_id": old.client_id, "id": old.id},
            )
            if not list(ended):
                raise InvalidInput(f"the key {old.id} was rotated or revoked just now")
            if most is not None and old_expires_at > new.created_at:
                await _require_room(transaction, new, most)
            await _insert(transaction, new, digest, entry)
            await self._events.write(transaction, [key_event("key.created", new, at=new.created_at)])

        await self._write(old.client_id, write)

    async def of_client(self, client_id: int) -> list[ApiKey]:
        """Return the client's keys, oldest first, revoked ones too. There may be very many."""
        return await self._select("WHERE client_id = :client_id ORDER BY number", {"client_id": client_id})

    async def prune(self, before: str) -> None:
        """Forget the keys that ended earlier than `before`, with their usage."""
        for ending in ("revoked_at", "expires_at"):
            await prune(
                self._database,
                f"""
                DELETE FROM key_usage WHERE (key_id, hour) IN (
                    SELECT key_id, hour FROM key_usage JOIN api_keys ON api_keys.id = key_usage.key_id
                    WHERE api_keys.{ending} < :before LIMIT :limit
                ) RETURNING 1
                """,  # noqa: S608 - ours
                before,
            )
            await prune(
                self._database,
                f"""
                DELETE FROM api_keys WHERE number IN
                    (SELECT number FROM api_keys WHERE {ending} < :before LIMIT :limit) RETURNING 1
                """,  # noqa: S608 - ours
                before,
            )

    async def all(self) -> list[ApiKey]:
        """Return every client's keys, for the operator."""
        return await self._select("ORDER BY client_id, number", {})

    async def by_id(self, client_id: int, key_id: str) -> ApiKey:
        """Return the key. Raises UnknownRecord, for another client's key as for none."""
        values = {"client_id": client_id, "id": key_id}
        return _only(await self._select("WHERE client_id = :client_id AND id = :id", values), key_id)

    async def any_by_id(self, key_id: str) -> ApiKey:
        """Return the key, whosever it is, for the operator. Raises UnknownRecord."""
        return _only(await self._select("WHERE id = :id", {"id": key_id}), key_id)

    async def revoke(self, client_id: int, key_id: str, *, at: str, entry: ActivityEntry | None = None) -> None:
        """Refuse the key from the next request on. A key revoked before keeps its first time."""
        sql = """
            UPDATE api_keys SET revoked_at = :at
            WHERE client_id = :client_id AND id = :id AND revoked_at IS NULL RETURNING *
            """
        values = {"at": at, "client_id": client_id, "id": key_id}

        async def write(transaction: Transaction) -> None:
            revoked = await activity.change(transaction, sql, values, entry)
            await self._events.write(transaction, [key_event("key.revoked", key_from(row), at=at) for row in revoked])

        await self._write(client_id, write)

    async def ending(self, client_ids: Collection[int], *, after: str, until: str) -> list[ApiKey]:
        """Return the keys of these clients that end in between and work still. None that a successor has replaced."""
        return await self._select(
            f"""
            WHERE revoked_at IS NULL AND successor_id IS NULL AND expires_at > :after AND expires_at <= :until
                AND client_id IN ({self._database.dialect.numbers("client_ids")}) ORDER BY expires_at, number
            """,
            {"client_ids": json.dumps(list(client_ids)), "after": after, "until": until},
        )

    async def _write(self, client_id: int, unit: Unit[None]) -> None:
        """Run a unit that changes keys of one client: nobody else's are read again."""
        await self._database.write(unit, housekeeping=True, committed=lambda: self.forget(client_id))

    async def _select(self, condition: str, parameters: Parameters) -> list[ApiKey]:
        return await select_keys(self._database, condition, parameters)


def _client_of(_digest: bytes, principal: Principal | None) -> int | None:
    return None if principal is None else principal.client.id


def _only(keys: list[ApiKey], key_id: str) -> ApiKey:
    if not keys:
        raise UnknownRecord(f"there is no key {key_id!r}; see: gateway key list")
    return keys[0]


async def _require_room(transaction: Transaction, key: ApiKey, most: int) -> None:
    """Raise InvalidInput if the client has as many working keys as it may have, at the moment the key is made."""
    rows = await transaction.execute_fetchall(
        f"""
        SELECT coalesce(most_keys, :most) AS most, (SELECT count(*) FROM ({WORKING}) AS working) AS working
        FROM clients WHERE id = :client_id
        """,  # noqa: S608 - ours
        {"most": most, "client_id": key.client_id, "now": key.created_at},
    )
    for row in rows:
        if row["working"] >= row["most"]:
            raise InvalidInput(
                f"there are {row['working']} working keys already, and {row['most']} is the most; "
                "first revoke one that is not used"
            )


async def _insert(transaction: Transaction, key: ApiKey, digest: bytes, entry: ActivityEntry | None) -> None:
    await activity.change(
        transaction,
        """
        INSERT INTO api_keys (id, client_id, digest, start, name, scope, rate_requests, rate_seconds,
            created_at, expires_at, bucket_id)
        VALUES (:id, :client_id, :digest, :start, :name, :scope, :rate_requests, :rate_seconds,
            :created_at, :expires_at, :bucket_id) RETURNING 1
        """,
        {**msgspec.structs.asdict(key), **rate_columns(key.rate), "digest": digest},
        entry,
    )
