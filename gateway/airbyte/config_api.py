"""Ask Airbyte's Config API why jobs failed, which its public API does not tell.

It is no public contract and may vanish: whatever goes wrong here costs the reason alone, never the answer. It has
breakers and permits of its own, so that its faults neither stop nor delay a call to the public API, and it never has a
token renewed: a 401 of its own says nothing about the token.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from gateway.airbyte.bulkhead import Caller
from gateway.airbyte.call import Call
from gateway.airbyte.config_schema import JobListRecord, JobReport, ListedJobRecord
from gateway.airbyte.executor import CallExecutor
from gateway.airbyte.paths import checked_uuid, moment
from gateway.airbyte.timings import AirbyteTimings
from gateway.airbyte.token import Authorization
from gateway.errors import UpstreamError, UpstreamInvalid, UpstreamTimeout
from gateway.models import Job
from gateway.times import Clock, parse_time

CONFIG_WORDS = {"sync": "sync", "refresh": "refresh", "reset": "reset_connection", "clear": "clear"}
"""The public API's job types → the Config API's words for them."""

ONE_SECOND = timedelta(seconds=1)
"""Airbyte compares microseconds and shows seconds."""
MOST_IN_A_SECOND = 10
"""Jobs of one connection that begin in one second: more than Airbyte ever lets begin."""

_LIST = msgspec.json.Decoder(JobListRecord)
_LISTED = msgspec.json.Decoder(ListedJobRecord)

log = structlog.get_logger()


class BorrowedAuthorization:
    """The header of the public API's authorization, which learns nothing from what becomes of it."""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    async def header(self) -> str | None:
        """Return the header that the public API is called with. Raises UpstreamError."""
        return await self._authorization.header()

    def reject(self, header: str | None, *, renewed: bool) -> bool:  # noqa: ARG002 - part of the protocol
        """Return False: whose the credential is judges it by its own calls."""
        return False

    def forget(self) -> None:
        """Do nothing: the owner forgets."""


class ConfigObserver(Protocol):
    """Who hears how each call ended, and of answers about another connection's job."""

    def count_config_call(self, outcome: str) -> None: ...

    def count_mismatch(self, rows: int) -> None: ...


class ConfigApi:
    """The Config API, as far as the gateway needs it. `executor` is None where there is none to ask."""

    def __init__(
        self,
        executor: CallExecutor | None,
        authorization: Authorization,
        clock: Clock,
        timings: AirbyteTimings,
        *,
        observer: ConfigObserver,
    ) -> None:
        self._executor = executor
        self._authorization = BorrowedAuthorization(authorization)
        self._clock = clock
        self._deadlines = timings.deadlines
        self._log_interval = timings.config_log
        self._observer = observer
        self._logged_at: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is an address to ask: Airbyte Cloud has none, and the operator may turn it off."""
        return self._executor is not None

    async def job(self, airbyte_id: str, job: Job, *, caller: Caller) -> JobReport | None:
        """Return what is told of a job of the connection; None if nothing is, for whatever reason.

        It is looked for in the list: `jobs/get` has neither counts of streams nor their namespaces, but all logs.
        """
        if job.start_time is None or job.job_type not in CONFIG_WORDS:
            return None
        created = parse_time(job.start_time)
        found = {"createdAtStart": moment(created), "createdAtEnd": moment(created + ONE_SECOND)}
        reports = await self._or_none(airbyte_id, (job.job_type,), caller, {**found, **_page(MOST_IN_A_SECOND)})
        return (reports or {}).get(job.job_id)

    async def jobs(
        self,
        airbyte_id: str,
        job_types: Sequence[str],
        *,
        caller: Caller,
        limit: int,
        offset: int = 0,
        statuses: Sequence[str] = (),
        until: datetime | None = None,
    ) -> Mapping[int, JobReport]:
        """Return what is told of the connection's newest jobs, by job id; nothing if it cannot be asked.

        `until`: only jobs created so far.
        """
        chosen = {
            **_page(limit, offset),
            **({"statuses": [*statuses]} if statuses else {}),
            **({"createdAtEnd": moment(until)} if until else {}),
        }
        return await self._or_none(airbyte_id, job_types, caller, chosen) or {}

    async def check(self, airbyte_id: str, *, caller: Caller) -> None:
        """Ask for the newest sync of the connection. Raises UpstreamError if the Config API cannot be asked."""
        if self._executor is not None:
            await self._list(self._executor, airbyte_id, ("sync",), caller, _page(1))

    async def close(self) -> None:
        """Close the socket connections."""
        if self._executor is not None:
            await self._executor.client.close()

    async def _or_none(
        self, airbyte_id: str, job_types: Sequence[str], caller: Caller, chosen: Mapping[str, object]
    ) -> dict[int, JobReport] | None:
        """Return the jobs of a list; None, counted and now and then logged, if it cannot be asked."""
        if self._executor is None:
            return None
        try:
            reports = await self._list(self._executor, airbyte_id, job_types, caller, chosen)
        except UpstreamError as error:
            self._observer.count_config_call(error.outcome)
            self._log(error)
            return None
        self._observer.count_config_call("ok")
        return reports

    async def _list(
        self,
        executor: CallExecutor,
        airbyte_id: str,
        job_types: Sequence[str],
        caller: Caller,
        chosen: Mapping[str, object],
    ) -> dict[int, JobReport]:
        types = [CONFIG_WORDS[each] for each in job_types]
        body = {"configTypes": types, "configId": checked_uuid(airbyte_id), **chosen}
        rows = (await self._post(executor, b"/jobs/list", body, caller)).jobs
        jobs = [job for row in rows if (job := _listed(row)) is not None]
        own = [each for each in jobs if each.job.config_id == airbyte_id]
        if len(own) < len(jobs):
            self._observer.count_mismatch(len(jobs) - len(own))
        if rows and not own:
            raise UpstreamInvalid(detail="no job of the Config API's list is one that was asked for")
        return {each.job.id: JobReport(each.job.id, each.attempts, each.job.stream_aggregated_stats) for each in own}

    async def _post(
        self, executor: CallExecutor, path: bytes, body: Mapping[str, object], caller: Caller
    ) -> JobListRecord:
        """Return the typed answer. Raises UpstreamError, also when it takes too long with its wait for a permit."""
        call = Call(
            _LIST,
            path,
            caller,
            method=b"POST",
            body=msgspec.json.encode(body),
            is_of_many_threads=True,
            deadline_seconds=self._deadlines.config_call,
        )
        try:
            async with asyncio.timeout(self._deadlines.config):
                return await executor.send(call, self._authorization)
        except TimeoutError:
            raise UpstreamTimeout(detail=f"no answer within {self._deadlines.config:g} s") from None

    def _log(self, error: UpstreamError) -> None:
        now = self._clock.monotonic()
        if self._logged_at is None or now - self._logged_at >= self._log_interval:
            self._logged_at = now
            log.warning("config_api_unavailable", reason=error.outcome, detail=error.detail, hint="see: gateway doctor")


def _listed(row: msgspec.Raw) -> ListedJobRecord | None:
    """Return the row; None if it has an unexpected form."""
    try:
        return _LISTED.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _page(size: int, offset: int = 0) -> dict[str, object]:
    return {"pagination": {"pageSize": size, "rowOffset": offset}}
