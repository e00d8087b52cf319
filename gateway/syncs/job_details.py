"""Read one job of a client's connection with all that is known of it."""

import re

import msgspec

from gateway.airbyte import Airbyte
from gateway.errors import JobNotFound
from gateway.models import Client, EndedJob, JobDetail
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.connections import airbyte_id_of, require_still_mapped

_JOB_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


class JobDetails:
    """Reads single jobs; simultaneous readers of the same job share its calls to Airbyte."""

    def __init__(self, store: Store, airbyte: Airbyte) -> None:
        self._store = store
        self._airbyte = airbyte
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

    async def _read(self, client: Client, airbyte_id: str, job_id: int) -> JobDetail:
        job = await self._job(client, airbyte_id, job_id)
        return JobDetail(**msgspec.structs.asdict(job), attempts=[], failure=None, streams=[])

    async def _job(self, client: Client, airbyte_id: str, job_id: int) -> EndedJob:
        job = await self._airbyte.job(airbyte_id, job_id, caller=client.id)
        if job is None:
            raise JobNotFound
        return job


def job_number(text: str) -> int:
    """Return the id that the text is. Raises JobNotFound for what is no id of a job."""
    if _JOB_NUMBER.fullmatch(text) is None:
        raise JobNotFound
    return int(text)
