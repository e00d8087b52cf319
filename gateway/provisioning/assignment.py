"""Assign connections that Airbyte listed to a client: many in one transaction, and no call for each."""

from collections.abc import Callable, Sequence

import msgspec

from gateway import validation
from gateway.auth.keys import mint_id
from gateway.errors import InvalidInput
from gateway.models import COMMAND_LINE, Actor, Client, Connection, activity_entry
from gateway.provisioning.discovery import UpstreamConnection
from gateway.store import Store
from gateway.times import Clock, format_time

MOST_ASSIGNED = 1000
"""Connections of one transaction: while it is written, nobody else can write."""


class Choice(msgspec.Struct, frozen=True):
    """One of Airbyte's connections as it was listed, what the client is to see of it, and the id it gets, if given."""

    upstream: UpstreamConnection
    label: str
    connector_type: str
    connection_id: str | None = None


class Assignment:
    """Gives connections to clients. `choice` picks a random character."""

    def __init__(self, store: Store, clock: Clock, choice: Callable[[str], str]) -> None:
        self._clients = store.clients
        self._connections = store.connections
        self._clock = clock
        self._choice = choice

    async def assign(self, client_slug: str, choices: Sequence[Choice], *, by: Actor = COMMAND_LINE) -> None:
        """Add them all to the client, or none. Their last syncs are read when somebody next looks.

        Raises InvalidInput, UnknownRecord, and Duplicate if one of them is a client's already.
        """
        if not choices or len(choices) > MOST_ASSIGNED:
            raise InvalidInput(f"from 1 to {MOST_ASSIGNED} connections are assigned at once; nothing was changed")
        client = await self._clients.by_slug(client_slug)
        now = format_time(self._clock.now())
        connections = [self._connection(client, each, now) for each in choices]
        entries = [activity_entry(by, "connection.create", each, at=now) for each in connections]
        await self._connections.add_all(client.id, connections, entries=entries)

    def _connection(self, client: Client, choice: Choice, now: str) -> Connection:
        upstream = choice.upstream
        label = validation.text("each label", choice.label)
        return Connection(
            id=choice.connection_id or mint_id("conn", self._choice),
            client_id=client.id,
            connector_type=validation.slug(f"the connector type of {label}", choice.connector_type),
            label=label,
            status=upstream.status,
            created_at=now,
            airbyte_id=upstream.id,
            workspace_id=upstream.workspace_id,
            status_checked_at=upstream.read_at,
            schedule=upstream.schedule,
            schedule_since=upstream.read_at,
        )
