"""Call the resources of Airbyte's public API that the gateway uses, and give them as our records.

Ids are checked before they enter a URL, and every row that comes back must be of the connection asked for: a
credential of Airbyte's sees everything, so Airbyte does not keep one customer's rows from another.
"""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from gateway.airbyte import paths
from gateway.airbyte.bulkhead import Caller, OwnCalls
from gateway.airbyte.call import Call
from gateway.airbyte.catalog import Catalog
from gateway.airbyte.config_api import ConfigApi
from gateway.airbyte.figures import CallFigures
from gateway.airbyte.job_lists import JobLists
from gateway.airbyte.jobs import Jobs
from gateway.airbyte.lists import AirbyteLists
from gateway.airbyte.mapping import checked_connection
from gateway.airbyte.reader import Reader
from gateway.airbyte.route import Route
from gateway.airbyte.schema import ConnectionRecord
from gateway.airbyte.token import ClientCredentials, Credential
from gateway.errors import UpstreamInvalid
from gateway.settings.secret import Secret
from gateway.times import Clock

LARGEST_SKEW = timedelta(days=1)

_CONNECTION = msgspec.json.Decoder(ConnectionRecord)


class Airbyte:
    """Airbyte, as far as the gateway needs it. Every method raises UpstreamError."""

    def __init__(
        self, reader: Reader, config: ConfigApi, clock: Clock, *, credential: Credential, route: Route, is_remote: bool
    ) -> None:
        """`credential` is the one that the reader sends."""
        self.route = route
        self.is_remote = is_remote
        """Whether there is a network on the way, with a host that has a name and a port."""
        self.jobs = Jobs(reader)
        self.lists = AirbyteLists(reader)
        self.job_lists = JobLists(reader)
        self.catalog = Catalog(reader)
        self.config = config
        self.troubles = reader.executor.troubles
        self._reader = reader
        self._credential = credential
        self._clock = clock

    def now(self) -> datetime:
        """Return the time of Airbyte's clock by its last answer; ours before the first, or when that is a day off."""
        now, theirs = self._clock.now(), self.told_time()
        return theirs if theirs is not None and abs(theirs - now) < LARGEST_SKEW else now

    def told_time(self) -> datetime | None:
        """Return the time of Airbyte's clock by its last answer, however far off; None if it told none."""
        client = self._reader.executor.client
        try:
            told = parsedate_to_datetime(client.last_date).astimezone(UTC)
            return told + timedelta(seconds=self._clock.monotonic() - client.dated_at)
        except (ValueError, OverflowError):
            return None

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return self._reader.executor.in_flight

    @property
    def own_calls_at_once(self) -> int:
        """How many calls one piece of the gateway's own work may send at once."""
        return self._reader.executor.own_calls_at_once

    @property
    def identity(self) -> str:
        """The client id or user name that calls are made with."""
        return self._credential.identity

    @property
    def has_secret(self) -> bool:
        """Whether the credential has a secret."""
        return bool(self._credential.secret)

    def change_credential(self, identity: str, secret: Secret) -> None:
        """Use another credential for calls made from now on; those under way finish with what they have."""
        if (identity, secret) != (self._credential.identity, self._credential.secret):
            self._credential.identity, self._credential.secret = identity, secret
            self._reader.authorization.forget()
            self._reader.executor.forget_refusal()

    def figures(self) -> CallFigures:
        """Return how calls are doing."""
        return self._reader.executor.figures()

    def state(self) -> dict[str, object]:
        """Return what `/readyz` and the admin's page tell of Airbyte."""
        return self._reader.executor.state()

    def trigger_permit(self, caller: Caller) -> AbstractAsyncContextManager[None]:
        """Return what holds, while entered, the one permit for a trigger's or a cancel's calls.

        Entering raises UpstreamBusy.
        """
        return self._reader.executor.permit("trigger", caller)

    async def connection(self, airbyte_id: str, *, caller: Caller = OwnCalls.ROUTINE) -> ConnectionRecord:
        """Return one connection. Raises UpstreamError; UpstreamInvalid if the answer is about another one."""
        return self._connection_of(
            airbyte_id, await self._reader.read(_CONNECTION, paths.connection(airbyte_id), caller=caller)
        )

    async def connection_of_trigger(self, airbyte_id: str, *, caller: Caller) -> ConnectionRecord:
        """Return one connection, under a trigger's permit. Raises UpstreamError as `connection`."""
        path = paths.connection(airbyte_id).encode("ascii")
        call = Call(_CONNECTION, path, caller, has_permit=True, deadline_seconds=self._reader.deadlines.read)
        return self._connection_of(airbyte_id, await self._reader.send(call))

    def _connection_of(self, airbyte_id: str, record: ConnectionRecord) -> ConnectionRecord:
        if record.connection_id != airbyte_id:
            self._reader.count_mismatch(1)
            raise UpstreamInvalid(detail="the answer is about another connection")
        return checked_connection(record)

    async def close(self) -> None:
        """End a token call under way and close the socket connections."""
        if isinstance(self._reader.authorization, ClientCredentials):
            await self._reader.authorization.close()
        await self._reader.executor.client.close()
        await self.config.close()
