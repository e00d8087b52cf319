"""What connections are made of: streams, and what they are read from and written to."""

import msgspec


class CatalogStream(msgspec.Struct, frozen=True):
    """A stream that a connection syncs. `sync_mode` is Airbyte's word."""

    name: str
    namespace: str | None
    sync_mode: str | None
    cursor_field: tuple[str, ...]
    primary_key: tuple[tuple[str, ...], ...]


class ConnectionDetail(msgspec.Struct, frozen=True):
    """What Airbyte tells of one of its connections. The ids are Airbyte's."""

    airbyte_id: str
    source_id: str
    destination_id: str
    status: str
    prefix: str
    streams: tuple[CatalogStream, ...]
    kept: dict[str, bytes] = msgspec.field(default_factory=dict)
    """What readers have made of the streams, by a name of their own: there may be thousands."""
