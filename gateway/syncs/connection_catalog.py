"""Tell what connections are made of: streams, source, destination. It changes little, so Airbyte is asked rarely."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Literal

from gateway.airbyte import Airbyte
from gateway.errors import ConnectionNotFound, UpstreamRefused, UpstreamTimeout
from gateway.models import Client, Connection, ConnectionDetail
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.client_cache import ClientCache
from gateway.syncs.connections import require_still_mapped
from gateway.syncs.refusals import Refusals
from gateway.syncs.timings import PollTimings
from gateway.syncs.together import together
from gateway.times import Clock

READS_AT_ONCE = 3
"""Reads of one caller. Airbyte has five threads for everybody."""
KEPT_CONNECTIONS = 500

Role = Literal["source", "destination"]


class ConnectionCatalog:
    """What is known of each client's connections; simultaneous readers of one share its call to Airbyte."""

    def __init__(self, store: Store, airbyte: Airbyte, refusals: Refusals, clock: Clock, timings: PollTimings) -> None:
        self._store = store
        self._airbyte = airbyte
        self._refusals = refusals
        self._wait_seconds = timings.wait
        self._records: ClientCache[str, ConnectionDetail] = ClientCache(
            clock, seconds=timings.catalog, most=KEPT_CONNECTIONS
        )
        self._kinds: ClientCache[tuple[Role, str], str] = ClientCache(clock, seconds=timings.kept)
        self._reads: SingleFlight[tuple[int, str], ConnectionDetail] = SingleFlight()
        self._kind_reads: SingleFlight[tuple[int, Role, str], str] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._reads.close(cancel=True)
        await self._kind_reads.close(cancel=True)

    async def of(self, client: Client, connection: Connection) -> ConnectionDetail:
        """Return what Airbyte tells of one of the client's connections, which is mapped.

        Raises ConnectionNotFound, UpstreamError; UpstreamTimeout soon, and the read goes on for whoever asks next.
        """
        (found,) = (await self.of_all(client, [connection], is_strict=True)).values()
        return found

    async def of_all(
        self, client: Client, connections: Iterable[Connection], *, is_strict: bool = False
    ) -> Mapping[str, ConnectionDetail]:
        """Return what Airbyte tells of mapped connections, by its ids, without those that it has deleted.

        Raises UpstreamError, UpstreamTimeout as `of` does; ConnectionNotFound only if it `is_strict`.
        """
        permits = asyncio.Semaphore(READS_AT_ONCE)
        found: dict[str, ConnectionDetail] = {}

        async def read(connection: Connection, airbyte_id: str) -> None:
            try:
                async with permits:
                    found[airbyte_id] = await self._record(client, airbyte_id)
                    await require_still_mapped(self._store, client, connection.id, airbyte_id)
            except ConnectionNotFound:
                found.pop(airbyte_id, None)
                if is_strict:
                    raise

        reads = [read(each, each.airbyte_id) for each in connections if each.airbyte_id]
        try:
            async with asyncio.timeout(self._wait_seconds):
                await together(reads)
        except TimeoutError:
            raise UpstreamTimeout(detail=f"{len(reads)} connections were not read in time; the reads go on") from None
        return found

    async def _record(self, client: Client, airbyte_id: str) -> ConnectionDetail:
        known = self._records.get(client.id, airbyte_id)
        return known or await self._reads.run((client.id, airbyte_id), lambda: self._read(client.id, airbyte_id))

    async def _read(self, client_id: int, airbyte_id: str) -> ConnectionDetail:
        try:
            record = await self._airbyte.catalog.connection(airbyte_id, caller=client_id)
        except UpstreamRefused as refusal:
            raise await self._refusals.error_for(refusal, airbyte_id) from refusal
        self._records.put(client_id, airbyte_id, record)
        return record

    async def kind(self, client: Client, role: Role, airbyte_id: str) -> str:
        """Return the kind of connector of a source or destination of the client's; empty if it has no name.

        Raises UpstreamError; UpstreamTimeout soon, and the read goes on for whoever asks next.
        """
        known = self._kinds.get(client.id, (role, airbyte_id))
        if known is not None:
            return known
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._kind_reads.run(
                    (client.id, role, airbyte_id), lambda: self._read_kind(client.id, role, airbyte_id)
                )
        except TimeoutError:
            raise UpstreamTimeout(detail=f"a {role} was not read in time; the read goes on") from None

    async def _read_kind(self, client_id: int, role: Role, airbyte_id: str) -> str:
        catalog = self._airbyte.catalog
        read = catalog.source_kind if role == "source" else catalog.destination_kind
        kind = await read(airbyte_id, caller=client_id)
        self._kinds.put(client_id, (role, airbyte_id), kind)
        return kind
