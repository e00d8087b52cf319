"""The newest syncs of a connection as they are stored, for when Airbyte does not answer."""

from gateway.models import TERMINAL_STATUSES, Client, Connection, Job
from gateway.store import Store
from gateway.store.tables.recent_syncs import EndedSync
from gateway.times import parse_time


async def stored_jobs(store: Store, client: Client, connection: Connection) -> list[Job]:
    """Return the client's connection's last sync, if it had not ended, and those that had, newest first.

    Raises StorageUnavailable.
    """
    ended = [_job(sync) for sync in await store.recent_syncs.of_connection(client.id, connection.id)]
    return [*_unended(connection), *ended]


def _unended(connection: Connection) -> list[Job]:
    job_id, status = connection.last_job_id, connection.last_sync_status
    if connection.airbyte_id is None or job_id is None or status is None or status in TERMINAL_STATUSES:
        return []
    return [Job(job_id, connection.airbyte_id, status, "sync", connection.last_sync_at, None, None, None)]


def _job(sync: EndedSync) -> Job:
    seconds = (parse_time(sync.ended_at) - parse_time(sync.at)).total_seconds()
    return Job(
        job_id=sync.job_id,
        connection_id=sync.airbyte_id,
        status=sync.status,
        job_type="sync",
        start_time=sync.at,
        bytes_synced=sync.bytes,
        rows_synced=sync.rows,
        duration=f"PT{max(0, round(seconds))}S",
    )
