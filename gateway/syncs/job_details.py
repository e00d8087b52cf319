"""Read one job of a client's connection with all that is known of it."""

import asyncio
import re

from gateway.airbyte import Airbyte
from gateway.errors import JobNotFound
from gateway.models import Client, Connection, EndedJob, Failure, JobDetail
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.connections import airbyte_id_of, require_still_mapped
from gateway.syncs.failures import FailureMessages, OperatorFailure, operator_failure_from
from gateway.syncs.job_reports import detail_of, last_attempt

_JOB_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


class JobDetails:
    """Reads single jobs; simultaneous readers of the same job share its calls to Airbyte."""

    def __init__(self, store: Store, airbyte: Airbyte, failure_messages: FailureMessages) -> None:
        self._store = store
        self._airbyte = airbyte
        self._messages = failure_messages
        self._reads: SingleFlight[tuple[int, str, int], JobDetail] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._reads.close(cancel=True)

    async def read(self, client: Client, connection_id: str, job_id: str) -> JobDetail:
        """Return a job of the connection, of any type. `job_id` is text as the caller gave it.

        Raises ConnectionNotFound, JobNotFound, BadRequest, UpstreamError. Airbyte's job ids are one sequence for all
        connections, so an unknown job and another connection's are answered alike.
        """
        airbyte_id = await airbyte_id_of(self._store, client, connection_id)
        number = job_number(job_id)
        detail = await self._reads.run((client.id, airbyte_id, number), lambda: self._read(client, airbyte_id, number))
        await require_still_mapped(self._store, client, connection_id, airbyte_id)
        return detail

    async def failure(self, client_id: int, connection_id: str, airbyte_id: str, job_id: int) -> Failure | None:
        """Return why a job failed, as the API shows it; None if that is not told. Raises UpstreamError.

        It takes the client's share: however many of its syncs fail at once, what keeps all figures current goes on.
        Nothing is told of a connection that is not the client's any more, or is mapped to another one of Airbyte's.
        """
        connection = (await self._store.connections.of_client(client_id)).by_id.get(connection_id)
        if connection is None or connection.airbyte_id != airbyte_id:
            return None
        job = await self._airbyte.jobs.of_connection(airbyte_id, job_id, caller=client_id)
        if job is None:
            return None
        report = await self._airbyte.config.job(airbyte_id, job, caller=client_id)
        return (await asyncio.to_thread(detail_of, job, report, self._messages)).failure

    async def operator_failure(self, connection: Connection, job_id: int) -> OperatorFailure | None:
        """Return why a job failed, with Airbyte's message as it came, for operators alone; None if it is not told.

        It takes the share of the connection's client. Raises UpstreamError.
        """
        airbyte_id, client_id = connection.airbyte_id, connection.client_id
        if airbyte_id is None:
            return None
        job = await self._airbyte.jobs.of_connection(airbyte_id, job_id, caller=client_id)
        if job is None or job.status == "succeeded":
            return None
        last = last_attempt(await self._airbyte.config.job(airbyte_id, job, caller=client_id))
        return None if last is None else operator_failure_from(last.failures)

    async def _read(self, client: Client, airbyte_id: str, job_id: int) -> JobDetail:
        """Ask for the job, then for its attempts, which are found by when it was created."""
        job = await self._job(client, airbyte_id, job_id)
        report = await self._airbyte.config.job(airbyte_id, job, caller=client.id)
        return await asyncio.to_thread(detail_of, job, report, self._messages)

    async def _job(self, client: Client, airbyte_id: str, job_id: int) -> EndedJob:
        job = await self._airbyte.jobs.of_connection(airbyte_id, job_id, caller=client.id)
        if job is None:
            raise JobNotFound
        return job


def job_number(text: str) -> int:
    """Return the id that the text is. Raises JobNotFound for what is no id of a job."""
    if _JOB_NUMBER.fullmatch(text) is None:
        raise JobNotFound
    return int(text)
