"""Read objects and pages of Airbyte's public API, under the gateway's rules for calls."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from gateway.airbyte.bulkhead import Caller, OwnCalls
from gateway.airbyte.call import Call, Decoder
from gateway.airbyte.executor import CallExecutor
from gateway.airbyte.rows import Page, PageDecoder
from gateway.airbyte.timings import Deadlines
from gateway.airbyte.token import Authorization
from gateway.errors import UpstreamInvalid

Record = TypeVar("Record")
Row = TypeVar("Row")


class ReadObserver(Protocol):
    """Who hears of dropped rows: of another connection's, and of those with an odd form."""

    def count_mismatch(self, rows: int) -> None: ...

    def count_odd_rows(self, rows: int) -> None: ...


class Reader:
    """Sends calls with the credential. Every method raises UpstreamError."""

    def __init__(
        self,
        executor: CallExecutor,
        authorization: Authorization,
        deadlines: Deadlines,
        *,
        observer: ReadObserver,
    ) -> None:
        self.executor = executor
        self.authorization = authorization
        self.deadlines = deadlines
        self.count_mismatch = observer.count_mismatch
        self.count_odd = observer.count_odd_rows

    async def send(self, call: Call[Record]) -> Record:
        """Return the typed answer to a call. Raises UpstreamError."""
        return await self.executor.send(call, self.authorization)

    async def read(self, decoder: Decoder[Record], path: str, *, caller: Caller = OwnCalls.ROUTINE) -> Record:
        """Return what stands at the path. Raises UpstreamError."""
        return await self.send(Call(decoder, path.encode("ascii"), caller, deadline_seconds=self.deadlines.read))

    async def page(
        self,
        decoder: PageDecoder[Record, Row],
        path: str,
        *,
        caller: Caller = OwnCalls.ROUTINE,
    ) -> Page[Row]:
        """Return a page without its odd rows, which are counted. Raises UpstreamError."""
        return self.counted(await self.read(decoder, path, caller=caller))

    def counted(self, page: Page[Row]) -> Page[Row]:
        """Count the odd rows that were dropped from the page, and return it."""
        if len(page.rows) != page.sent:
            self.count_odd(page.sent - len(page.rows))
        return page

    def asked_for(self, page: Page[Row], is_asked_for: Callable[[Row], bool]) -> Page[Row]:
        """Return the page with the rows that were asked for. Raises UpstreamInvalid if all of them are others."""
        rows = [row for row in page.rows if is_asked_for(row)]
        if len(rows) == len(page.rows):
            return page
        self.count_mismatch(len(page.rows) - len(rows))
        if not rows:
            raise UpstreamInvalid(detail="the whole page is about what was not asked for")
        return msgspec.structs.replace(page, rows=rows)
