"""Tell what connections are made of: streams, source, destination. It changes little, so Airbyte is asked rarely."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Generic, Literal, TypeVar

import msgspec

from gateway.airbyte import Airbyte
from gateway.errors import (
    ApiError,
    ConnectionNotFound,
    UpstreamError,
    UpstreamForbidden,
    UpstreamInvalid,
    UpstreamRefused,
)
from gateway.models import Client, Connection, ConnectionDetail
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.client_cache import ClientCache
from gateway.syncs.connections import require_still_mapped, still_own
from gateway.syncs.refusals import Refusals
from gateway.syncs.timings import PollTimings
from gateway.syncs.together import together
from gateway.times import Clock

READS_AT_ONCE = 3
"""Reads of one caller. Airbyte has five threads for everybody."""
KEPT_STREAMS = 20_000
"""Of one client, some 25 MB; a connection counts as one more. Those of most clients are far fewer."""
KEPT_KINDS = 2_000
KEPT_REFUSED = 2_000

Role = Literal["source", "destination"]
Thing = Literal["connection", "source", "destination"]
Value = TypeVar("Value")


class Told(msgspec.Struct, Generic[Value], frozen=True):
    """What Airbyte tells, by its ids; not of what it has deleted. `is_whole`: it told of all else.

    What it refuses, or tells oddly, costs the others nothing.
    """

    found: Mapping[str, Value]
    is_whole: bool


class ConnectionCatalog:
    """What is known of each client's connections; simultaneous readers of one share its call to Airbyte."""

    def __init__(self, store: Store, airbyte: Airbyte, refusals: Refusals, clock: Clock, timings: PollTimings) -> None:
        self._store = store
        self._airbyte = airbyte
        self._refusals = refusals
        self._records: ClientCache[str, ConnectionDetail] = ClientCache(
            clock, seconds=timings.catalog, most=KEPT_STREAMS, size_of=lambda detail: 1 + len(detail.streams)
        )
        self._refused: ClientCache[tuple[Thing, str], type[ApiError]] = ClientCache(
            clock, seconds=timings.refused_interval, most=KEPT_REFUSED
        )
        self._kinds: ClientCache[tuple[Role, str], str] = ClientCache(clock, seconds=timings.kept, most=KEPT_KINDS)
        self._reads: SingleFlight[tuple[int, str], ConnectionDetail] = SingleFlight()
        self._kind_reads: SingleFlight[tuple[int, Role, str], str] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._reads.close(cancel=True)
        await self._kind_reads.close(cancel=True)

    async def of(self, client: Client, connection: Connection) -> ConnectionDetail:
        """Return what Airbyte tells of one of the client's connections, which is mapped.

        Raises ConnectionNotFound, UpstreamError. A caller that waits no longer does not end the read.
        """
        airbyte_id = connection.airbyte_id or ""
        known = self._records.get(client.id, airbyte_id)
        if known is None:
            self._require_not_refused(client.id, "connection", airbyte_id)
            known = await self._reads.run((client.id, airbyte_id), lambda: self._read(client.id, airbyte_id))
            await require_still_mapped(self._store, client, connection.id, airbyte_id)
        return known

    async def of_all(self, client: Client, connections: Sequence[Connection]) -> Told[ConnectionDetail]:
        """Return what Airbyte tells of mapped connections that are the client's still, by its ids.

        Raises UpstreamError.
        """
        rows = {row.airbyte_id: row for row in connections if row.airbyte_id}
        known = {each: record for each in rows if (record := self._records.get(client.id, each)) is not None}
        unknown = {each: partial(self.of, client, row) for each, row in rows.items() if each not in known}
        told = await _told(known, unknown)
        own = await still_own(self._store, client, rows)
        return Told({each: detail for each, detail in told.found.items() if each in own}, told.is_whole)

    async def kinds(self, client: Client, role: Role, users: Mapping[str, Connection]) -> Told[str]:
        """Return the kinds of connectors of sources or destinations, by Airbyte's ids. Raises UpstreamError.

        `users` are the mapped connections through which the client has them. Without those it is told of none.
        """
        kinds = {each: self._kinds.get(client.id, (role, each)) for each in users}
        known = {each: kind for each, kind in kinds.items() if kind is not None}
        unknown = {each: partial(self._kind, client.id, role, each) for each in users if each not in known}
        told = await _told(known, unknown)
        own = await still_own(self._store, client, (row.airbyte_id or "" for row in users.values()))
        return Told({each: kind for each, kind in told.found.items() if users[each].airbyte_id in own}, told.is_whole)

    async def _read(self, client_id: int, airbyte_id: str) -> ConnectionDetail:
        try:
            record = await self._airbyte.catalog.connection(airbyte_id, caller=client_id)
        except UpstreamRefused as refusal:
            error = await self._refusals.error_for(refusal, airbyte_id)
            if isinstance(error, ConnectionNotFound | UpstreamForbidden):
                self._refused.put(client_id, ("connection", airbyte_id), type(error))
            raise error from refusal
        self._records.put(client_id, airbyte_id, record)
        return record

    def _require_not_refused(self, client_id: int, thing: Thing, airbyte_id: str) -> None:
        """Refuse again what Airbyte refused a moment ago: each list would ask for it anew."""
        refusal = self._refused.get(client_id, (thing, airbyte_id))
        if refusal is not None:
            raise refusal

    async def _kind(self, client_id: int, role: Role, airbyte_id: str) -> str:
        """Return a kind; empty if the connector has no name. Raises UpstreamError."""
        key = (role, airbyte_id)
        known = self._kinds.get(client_id, key)
        if known is None:
            self._require_not_refused(client_id, role, airbyte_id)
            known = await self._kind_reads.run((client_id, *key), lambda: self._read_kind(client_id, role, airbyte_id))
        return known

    async def _read_kind(self, client_id: int, role: Role, airbyte_id: str) -> str:
        catalog = self._airbyte.catalog
        read = catalog.source_kind if role == "source" else catalog.destination_kind
        try:
            kind = await read(airbyte_id, caller=client_id)
        except UpstreamRefused as refusal:
            self._refused.put(client_id, (role, airbyte_id), UpstreamForbidden)
            detail = f"{refusal.upstream_status}: Airbyte does not tell of a {role}"
            raise UpstreamForbidden(detail=detail) from refusal
        self._kinds.put(client_id, (role, airbyte_id), kind)
        return kind


async def _told(known: Mapping[str, Value], reads: Mapping[str, Callable[[], Awaitable[Value]]]) -> Told[Value]:
    """Read all beside what is known, a few at once.

    Raises UpstreamError if Airbyte fails as a whole, or tells of none of them.

    Each ends by itself before the first failure is raised: none is left behind.
    """
    permits = asyncio.Semaphore(READS_AT_ONCE)
    found = dict(known)
    passed_over: list[UpstreamError] = []

    async def read(airbyte_id: str) -> None:
        try:
            async with permits:
                found[airbyte_id] = await reads[airbyte_id]()
        except ConnectionNotFound:
            return
        except (UpstreamForbidden, UpstreamInvalid) as error:
            passed_over.append(error)

    await together(map(read, reads))
    if passed_over and not found:
        raise passed_over[0]
    return Told(found, is_whole=not passed_over)
