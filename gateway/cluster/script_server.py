"""Ask one Valkey or Redis: many scripts in a round trip, each trip within its time."""

import asyncio
import secrets
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.cluster.answers import Argument, OddAnswer
from gateway.cluster.scripts import PROBE, BackendReadOnly, BackendUnavailable, Script, ServerFacts
from gateway.cluster.timings import ValkeyTimings
from gateway.settings.secret import SecretUrl

PROBE_KEY = "gateway:probe"
MOST_LATE = 5
"""So often a deadline may be noticed late before the server counts as unavailable."""
BATCHES_AT_ONCE = 4
"""So that behind a slow answer nobody waits for more than a part of its time."""
SOCKET_CONNECTIONS = BATCHES_AT_ONCE + 1
"""The last for the probe."""

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A script to run, and where its answer goes."""

    script: Script[Any]
    keys: Sequence[str]
    arguments: Sequence[Argument]
    answer: "asyncio.Future[Any]" = field(repr=False)

    def read(self, answer: object) -> Any:
        """Return what the server's answer means. Raises BackendUnavailable for an error and for an odd answer."""
        if isinstance(answer, Exception):
            raise _unavailable_by(answer)
        try:
            return self.script.read(answer, self.arguments)
        except OddAnswer as odd:
            raise BackendUnavailable(str(odd)) from None


def _unavailable_by(error: Exception) -> BackendUnavailable:
    kind = BackendReadOnly if isinstance(error, ReadOnlyError) else BackendUnavailable
    return kind(f"{type(error).__name__}: {error}")


class ScriptServer:
    """Runs scripts on a server. Every method but `close` raises BackendUnavailable."""

    def __init__(self, url: SecretUrl, timings: ValkeyTimings) -> None:
        self._timings = timings
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url.reveal(),
                max_connections=SOCKET_CONNECTIONS,
                timeout=self._timings.probe,
                # Ours alone: redis-py takes a stand-still of this machine for one of the server.
                socket_connect_timeout=None,
                socket_timeout=None,
                # A second try would come when the decision has long been made.
                retry=Retry(NoBackoff(), 0),
                driver_info=None,
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
                protocol=2,
            )
        )

    async def close(self) -> None:
        """Leave the server, whether it is there or not."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._timings.probe):
                await self._redis.aclose(close_connection_pool=True)

    async def answer(self, batch: Sequence[Question]) -> list[Any]:
        """Return the server's answers to a batch, as it gave them: an exception where it has no other."""
        return await self._in_time(self._exchange(batch), self._timings.patience)

    async def probe(self) -> None:
        """Do what a gateway does all the time. Raises BackendUnavailable."""
        # Making a connection may take longer than a batch may: later, the first moment with many callers would find the
        # server slow.
        await self._in_time(self._connected(), self._timings.probe)
        # What counts now is how soon it answers, and whether it takes anything: a full server and a replica do not.
        nonce = secrets.token_hex(8)
        question = Question(PROBE, (PROBE_KEY,), (nonce,), asyncio.get_running_loop().create_future())
        (answer,) = await self.answer([question])
        question.read(answer)

    async def reconnect(self) -> None:
        """Do what `probe` does on new connections: a failover leaves the old ones connected to the old machine."""
        await self._in_time(self._redis.connection_pool.disconnect(), self._timings.probe)
        await self.probe()

    async def facts(self) -> ServerFacts:
        """Ask the server about itself. Raises BackendUnavailable."""
        await self.probe()
        return await self._in_time(self._facts(), self._timings.probe)

    async def _facts(self) -> ServerFacts:
        found = await self._redis.info()
        kind = "Valkey" if "valkey_version" in found else "Redis"
        version = found.get("valkey_version", found.get("redis_version", ""))
        return ServerFacts(
            name=f"{kind} {version}",
            eviction=found.get("maxmemory_policy", ""),
            limit_bytes=int(found.get("maxmemory", 0)),
            is_replica=found.get("role") == "slave",
        )

    async def _connected(self) -> None:
        answers = await asyncio.gather(*(self._redis.ping() for _ in range(SOCKET_CONNECTIONS)), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        await self._redis.script_load(PROBE.text)

    async def _exchange(self, batch: Sequence[Question]) -> list[Any]:
        answers = await self._evaluate(batch)
        unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            # A new server, or one that was restarted.
            for script in {batch[number].script for number in unknown}:
                await self._redis.script_load(script.text)
            again = await self._evaluate([batch[number] for number in unknown])
            for number, answer in zip(unknown, again, strict=True):
                answers[number] = answer
        return answers

    async def _evaluate(self, batch: Sequence[Question]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for question in batch:
            pipeline.evalsha(question.script.digest, len(question.keys), *question.keys, *question.arguments)
        return await pipeline.execute(raise_on_error=False)

    async def _in_time(self, exchange: Awaitable[T], patience: float) -> T:
        """Return what comes of it.

        Raises BackendUnavailable if it fails, or if it takes longer and no stand-still of ours explains that.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(exchange)
        try:
            for _ in range(MOST_LATE):
                due = loop.time() + patience
                await asyncio.wait({task}, timeout=patience)
                if task.done() or loop.time() - due < self._timings.late:
                    break
            if not task.done():
                raise BackendUnavailable(f"no answer within {round(patience * 1000)} ms")
        finally:
            if not task.done():
                # redis-py closes a connection whose answer was not waited for.
                task.cancel()
                await asyncio.wait({task})
        try:
            return task.result()
        except Exception as error:  # noqa: BLE001 - redis-py fails in many ways at bytes that are not of its protocol
            raise _unavailable_by(error) from None
