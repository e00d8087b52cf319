"""Read jobs of chosen types: of one connection, with their failures if asked for, or of all of a client's."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

import msgspec

from gateway.airbyte import Airbyte, JobList
from gateway.airbyte.rows import Page
from gateway.errors import UpstreamRefused
from gateway.models import KNOWN_JOB_TYPES, Client, EndedJob, Job
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.connections import airbyte_id_of, require_still_mapped, still_own
from gateway.syncs.cursor import Position
from gateway.syncs.cursor_seal import KEY_BYTES, CursorSeal
from gateway.syncs.failures import FailureMessages
from gateway.syncs.job_reports import explained, row_of
from gateway.syncs.merged_jobs import MergedPage, merged_page
from gateway.syncs.own_lists import own_connections
from gateway.syncs.refusals import Refusals

SAME_SECOND = 10
"""More rows than the page are asked of the Config API: a position is known to the second."""
SYNCS = frozenset({"sync"})
DELETIONS = frozenset({"clear", "reset"})
"""One thing to Airbyte: it stores a clear as a reset, and shows it so."""

Types = frozenset[str]


class Choice(msgspec.Struct, frozen=True):
    """Which jobs are asked for, and the page of them."""

    types: Types
    limit: int
    status: str | None = None
    updated_since: datetime | None = None
    after: Position | None = None
    created_since: datetime | None = None

    @property
    def until(self) -> datetime | None:
        """Before when the jobs of the page were created."""
        return None if self.after is None else self.after.until


class ChosenPage(msgspec.Struct, frozen=True):
    """Rows of the API, newest first; `next` is None at the end. `is_whole`: Airbyte told of all that was asked for."""

    jobs: Sequence[Job]
    next: Position | None
    is_whole: bool


class ChosenJobs:
    """Reads lists of jobs; simultaneous readers of the same page share its calls to Airbyte."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        refusals: Refusals,
        failure_messages: FailureMessages,
        *,
        new_bytes: Callable[[int], bytes],
    ) -> None:
        """`new_bytes` returns so many random ones, for cursors."""
        self._new_bytes = new_bytes
        self._store = store
        self._airbyte = airbyte
        self._refusals = refusals
        self._messages = failure_messages
        self._seal: CursorSeal | None = None
        self._reads: SingleFlight[tuple[int, tuple[JobList, ...], Choice], MergedPage] = SingleFlight()
        self._explained: SingleFlight[tuple[int, str, Choice], ChosenPage] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._explained.close(cancel=True)
        await self._reads.close(cancel=True)

    async def cursor_seal(self) -> CursorSeal:
        """Return what seals the cursors of `of_client`, for all gateways alike. Raises StorageUnavailable."""
        if self._seal is None:
            key = await self._store.cursor_key.get(self._new_bytes(KEY_BYTES).hex())
            self._seal = CursorSeal(bytes.fromhex(key), self._new_bytes)
        return self._seal

    async def of_connection(
        self, client: Client, connection_id: str, choice: Choice, *, is_explained: bool
    ) -> ChosenPage:
        """Return a page of the connection's jobs, with their ends and failures if it `is_explained`.

        Raises ConnectionNotFound, BadRequest, UpstreamError.
        """
        airbyte_id = await airbyte_id_of(self._store, client, connection_id)
        if is_explained:
            page = await self._explained.run(
                (client.id, airbyte_id, choice), lambda: self._explain(client, airbyte_id, choice)
            )
        else:
            page = _plain(await self._page_of(client, airbyte_id, choice))
        await require_still_mapped(self._store, client, connection_id, airbyte_id)
        return page

    async def of_client(self, client: Client, choice: Choice) -> ChosenPage:
        """Return a page of the jobs of all of the client's connections. Raises UpstreamError.

        Workspaces may hold other clients' connections too: only jobs of connections that are mapped to the client's,
        before and after Airbyte was asked, are returned. A client without any asks nothing.
        """
        own = own_connections((await self._store.connections.of_client(client.id)).rows)
        lists = tuple(each for jobs in _lists(choice) for each in own.lists(jobs))
        if not lists:
            return ChosenPage([], None, is_whole=True)
        wanted = own.placed.union(own.unplaced)
        page = await self._reads.run(
            (client.id, lists, choice), lambda: self._merge(client, lists, choice, wanted=wanted)
        )
        own_still = await still_own(self._store, client, (job.connection_id for job in page.jobs))
        return ChosenPage(
            [row_of(job) for job in page.jobs if job.connection_id in own_still],
            page.next,
            is_whole=page.is_whole and own.is_whole,
        )

    async def _explain(self, client: Client, airbyte_id: str, choice: Choice) -> ChosenPage:
        """Ask the public API for the jobs and the Config API for their failures, at the same time."""
        page, reports = await asyncio.gather(
            self._page_of(client, airbyte_id, choice),
            self._airbyte.config.jobs(
                airbyte_id,
                _types(choice.types),
                caller=client.id,
                limit=choice.limit + SAME_SECOND,
                statuses=[choice.status] if choice.status else [],
                until=choice.until,
            ),
        )
        jobs = await asyncio.to_thread(explained, page.jobs, reports, self._messages)
        return ChosenPage(jobs, page.next, page.is_whole)

    async def _page_of(self, client: Client, airbyte_id: str, choice: Choice) -> MergedPage:
        lists = tuple(msgspec.structs.replace(jobs, airbyte_id=airbyte_id) for jobs in _lists(choice))
        try:
            return await self._reads.run(
                (client.id, lists, choice), lambda: self._merge(client, lists, choice, wanted={airbyte_id})
            )
        except UpstreamRefused as refusal:
            raise await self._refusals.error_for(refusal, airbyte_id) from refusal

    async def _merge(
        self, client: Client, lists: Sequence[JobList], choice: Choice, *, wanted: Collection[str]
    ) -> MergedPage:
        async def read_page(jobs: JobList, size: int, offset: int, until: datetime | None) -> Page[EndedJob]:
            return await self._airbyte.job_lists.page(jobs, caller=client.id, limit=size, offset=offset, until=until)

        return await merged_page(
            lists, read_page, lambda job: job.connection_id in wanted, limit=choice.limit, after=choice.after
        )


def _plain(page: MergedPage) -> ChosenPage:
    return ChosenPage([row_of(job) for job in page.jobs], page.next, page.is_whole)


def _lists(choice: Choice) -> Iterator[JobList]:
    """Yield a list for each type, of no connection yet: Airbyte takes one type in a call, or none for all four."""
    words = _types(choice.types)
    for job_type in [None] if len(words) == len(KNOWN_JOB_TYPES) else words:
        yield JobList(
            job_type=job_type,
            status=choice.status,
            updated_since=choice.updated_since,
            created_since=choice.created_since,
        )


def _types(types: Types) -> list[str]:
    """Return Airbyte's words for the types that are asked for."""
    return [each for each in KNOWN_JOB_TYPES if each in types or (each in DELETIONS and types & DELETIONS)]
