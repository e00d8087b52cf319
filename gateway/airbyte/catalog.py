"""Read what a connection is made of: its streams, and the kinds of its source and its destination."""

import re

import msgspec

from gateway.airbyte import paths
from gateway.airbyte.bulkhead import Caller
from gateway.airbyte.mapping import checked_connection
from gateway.airbyte.reader import Reader
from gateway.airbyte.schema import DestinationRecord, SourceRecord, WholeConnectionRecord
from gateway.errors import UpstreamInvalid
from gateway.models import CatalogStream, ConnectionDetail
from gateway.validation import is_uuid

KIND = re.compile("[a-z0-9][a-z0-9_-]{0,79}")
"""A kind of connector, such as `google-sheets`."""

_WHOLE_CONNECTION = msgspec.json.Decoder(WholeConnectionRecord)
_SOURCE = msgspec.json.Decoder(SourceRecord)
_DESTINATION = msgspec.json.Decoder(DestinationRecord)


class Catalog:
    """Every method raises UpstreamError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def connection(self, airbyte_id: str, *, caller: Caller) -> ConnectionDetail:
        """Return one connection. Raises UpstreamInvalid if the answer is about another one, or odd."""
        record = await self._reader.read(_WHOLE_CONNECTION, paths.connection(airbyte_id), caller=caller)
        if record.connection_id != airbyte_id:
            self._reader.count_mismatch(1)
            raise UpstreamInvalid(detail="the answer is about another connection")
        checked_connection(record)
        if not is_uuid(record.destination_id):
            raise UpstreamInvalid(detail="the destination of a connection has an unexpected form")
        return ConnectionDetail(
            airbyte_id=airbyte_id,
            source_id=record.source_id,
            destination_id=record.destination_id,
            status=record.status,
            prefix=record.prefix or "",
            streams=tuple(CatalogStream(**msgspec.structs.asdict(each)) for each in record.configurations.streams),
        )

    async def source_kind(self, source_id: str, *, caller: Caller) -> str:
        """Return `shopify`, `postgres`, …; empty for a custom connector."""
        record = await self._reader.read(_SOURCE, paths.source(source_id), caller=caller)
        return _kind(record.source_type)

    async def destination_kind(self, destination_id: str, *, caller: Caller) -> str:
        """Return `bigquery`, `snowflake`, …; empty for a custom connector."""
        record = await self._reader.read(_DESTINATION, paths.destination(destination_id), caller=caller)
        return _kind(record.destination_type)


def _kind(text: str) -> str:
    return text if KIND.fullmatch(text) else ""
