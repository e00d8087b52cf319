"""A connection as the Config API shows it: the whole catalog of its streams, and the schedule in parts."""

from gateway.sandbox.config_api.schedules import basic_schedule, schedule_data
from gateway.sandbox.records import Connection, Stream
from gateway.sandbox.wire import without_nulls


def connection_read(connection: Connection) -> dict[str, object]:
    """Return the connection. `createdAt` is written `created_at` here, and the workspace is left out."""
    return without_nulls(
        {
            "connectionId": connection.connection_id,
            "name": connection.name,
            "namespaceDefinition": "destination",
            "prefix": "",
            "sourceId": connection.source_id,
            "destinationId": connection.destination_id,
            "operationIds": [],
            "syncCatalog": {"streams": [_stream(stream) for stream in connection.streams]},
            "schedule": basic_schedule(connection.schedule),
            "scheduleType": connection.schedule["scheduleType"],
            "scheduleData": schedule_data(connection.schedule),
            "status": connection.status,
            "breakingChange": False,
            "notifySchemaChanges": False,
            "notifySchemaChangesByEmail": False,
            "nonBreakingChangesPreference": "ignore",
            "created_at": int(connection.created_at),
            "tags": [],
        }
    )


def _stream(stream: Stream) -> dict[str, object]:
    cursor = [stream.cursor] if stream.cursor else []
    mode, destination_mode = ("incremental", "append_dedup") if stream.cursor else ("full_refresh", "overwrite")
    properties = {name: {"type": ["null", "string"]} for name in stream.fields}
    found = {
        "name": stream.name,
        "namespace": stream.namespace,
        "jsonSchema": {"type": "object", "properties": properties},
        "supportedSyncModes": ["full_refresh", "incremental"] if stream.cursor else ["full_refresh"],
        "sourceDefinedCursor": stream.cursor is not None,
        "defaultCursorField": cursor,
        "sourceDefinedPrimaryKey": [[stream.key]],
        "isResumable": stream.cursor is not None,
    }
    chosen = {
        "syncMode": mode,
        "cursorField": cursor,
        "destinationSyncMode": destination_mode,
        "primaryKey": [[stream.key]],
        "aliasName": stream.name,
        "selected": True,
        "fieldSelectionEnabled": False,
        "selectedFields": [],
        "hashedFields": [],
        "mappers": [],
    }
    return {"stream": without_nulls(found), "config": chosen}
