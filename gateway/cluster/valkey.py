"""Run scripts on Valkey (or Redis) in batches, each within its time, and know whether the server can be relied upon.

What callers ask in one moment goes to the server in one round trip. While the server is unavailable nobody waits for
it: a background task probes from time to time whether it is back.
"""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.background import Background, BackgroundTask, Progress
from gateway.cluster.answers import Argument, OddAnswer
from gateway.cluster.scripts import PROBE, BackendReadOnly, BackendUnavailable, Script, ServerFacts
from gateway.cluster.timings import ValkeyTimings
from gateway.settings.secret import SecretUrl

PROBE_KEY = "gateway:probe"
PROBER = "valkey probe"
LARGEST_BATCH = 200
MOST_LATE = 5
"""So often a deadline may be noticed late before the server counts as unavailable."""
BATCHES_AT_ONCE = 4
"""So that behind a slow answer nobody waits for more than a part of its time."""
SOCKET_CONNECTIONS = BATCHES_AT_ONCE + 1
"""The last for the probe."""

T = TypeVar("T")
log = structlog.get_logger()


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


class Valkey:
    """Cheap to build; `open` asks whether the server is there, and serves without it if it is not."""

    def __init__(self, url: SecretUrl, *, background: Background, timings: ValkeyTimings | None = None) -> None:
        self._background = background
        self._timings = timings or ValkeyTimings()
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url.reveal(),
                max_connections=SOCKET_CONNECTIONS,
                timeout=self._timings.probe,
                socket_connect_timeout=self._timings.probe,
                socket_timeout=self._timings.probe,
                # A second try would come when the decision has long been made.
                retry=Retry(NoBackoff(), 0),
                driver_info=None,
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
                protocol=2,
            )
        )
        self._questions: list[Question] = []
        self._senders: set[asyncio.Task[None]] = set()
        self._is_sender_due = False
        self._prober: BackgroundTask | None = None
        self._is_unavailable = True
        self._is_closed = False
        self._pause_seconds = self._timings.first_probe_pause
        self._back_at = -math.inf

    @property
    def is_unavailable(self) -> bool:
        """Whether the server is not to be asked now."""
        return self._is_unavailable

    async def open(self) -> None:
        """Ask whether the server is there; serve without it if it is not."""
        try:
            await self._probe()
        except BackendUnavailable as reason:
            self._become_unavailable(str(reason))
        else:
            self._is_unavailable = False

    async def close(self) -> None:
        """End what is under way and leave the server."""
        self._is_unavailable = self._is_closed = True
        if self._prober is not None:
            await self._prober.stop()
        for sender in self._senders:
            sender.cancel()
        if self._senders:
            await asyncio.wait(self._senders)
        # A task that is cancelled before its first step never comes to its end.
        self._give_up(self._questions)
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._timings.probe):
                await self._redis.aclose(close_connection_pool=True)

    async def run(self, script: Script[T], keys: Sequence[str], arguments: Sequence[Argument]) -> T:
        """Run a script and return what it returned, checked.

        Raises BackendUnavailable, at the latest after the patience.
        """
        if self._is_unavailable:
            raise BackendUnavailable
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._questions.append(Question(script, keys, arguments, answer))
        self._have_sent()
        return await answer

    def _have_sent(self) -> None:
        """Send in the next round of the event loop: until then others may ask too."""
        if self._is_sender_due or len(self._senders) >= BATCHES_AT_ONCE:
            return
        self._is_sender_due = True
        sender = asyncio.create_task(self._send())
        self._senders.add(sender)
        sender.add_done_callback(self._forget)

    def _forget(self, sender: "asyncio.Task[None] | None") -> None:
        if sender is not None:
            self._senders.discard(sender)

    async def _send(self) -> None:
        """Send one batch after the other, until nobody asks any more."""
        self._is_sender_due = False
        while self._questions:
            batch, self._questions = self._questions[:LARGEST_BATCH], self._questions[LARGEST_BATCH:]
            try:
                self._hand_out(batch, await self._in_time(self._exchange(batch), self._timings.patience))
            except BackendUnavailable as reason:
                self._become_unavailable(str(reason))
                self._give_up(self._questions)
            except BaseException:
                self._give_up(self._questions)
                raise
            finally:
                self._give_up(batch)
        # Not first by the callback: who asks before that would take this sender for one who still looks.
        self._forget(asyncio.current_task())

    @staticmethod
    def _give_up(questions: list[Question]) -> None:
        """Fail the questions that were not answered yet."""
        while questions:
            question = questions.pop()
            if not question.answer.done():
                question.answer.set_exception(BackendUnavailable())

    def _hand_out(self, batch: list[Question], answers: list[Any]) -> None:
        reason: BackendUnavailable | None = None
        for question, answer in zip(batch, answers, strict=True):
            try:
                meaning = question.read(answer)
            except BackendUnavailable as error:
                reason = error
                if not question.answer.done():
                    question.answer.set_exception(error)
            else:
                if not question.answer.done():
                    question.answer.set_result(meaning)
        if reason is not None:
            # Full, a replica that takes no writes, or no Valkey at all: no better for the next one who asks.
            self._become_unavailable(str(reason))

    async def _exchange(self, batch: list[Question]) -> list[Any]:
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

    async def _evaluate(self, batch: list[Question]) -> list[Any]:
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

    async def facts(self) -> ServerFacts:
        """Ask the server about itself; works without `open`. Raises BackendUnavailable."""
        await self._probe()
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

    async def _probe(self) -> None:
        """Do what a gateway does all the time. Raises BackendUnavailable."""
        # Making a connection may take longer than a batch may: later, the first moment with many callers would find the
        # server slow.
        await self._in_time(self._connected(), self._timings.probe)
        # What counts now is how soon it answers, and whether it takes anything: a full server and a replica do not.
        nonce = secrets.token_hex(8)
        question = Question(PROBE, (PROBE_KEY,), (nonce,), asyncio.get_running_loop().create_future())
        (answer,) = await self._in_time(self._exchange([question]), self._timings.patience)
        question.read(answer)

    async def _connected(self) -> None:
        answers = await asyncio.gather(*(self._redis.ping() for _ in range(SOCKET_CONNECTIONS)), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        await self._redis.script_load(PROBE.text)

    def _become_unavailable(self, reason: str) -> None:
        if self._is_closed or self._prober is not None:
            return
        self._is_unavailable = True
        timings = self._timings
        is_reliable = asyncio.get_running_loop().time() - self._back_at > timings.reliable
        longer = min(2 * self._pause_seconds, timings.longest_probe_pause)
        self._pause_seconds = timings.first_probe_pause if is_reliable else longer
        log.warning("shared_backend_unavailable", detail=reason, doing="each gateway counts its share by itself")
        self._prober = self._background.start(PROBER, self._probe_until_back)

    async def _probe_until_back(self, _progress: Progress) -> None:
        while True:
            await asyncio.sleep(self._pause_seconds)
            try:
                # What failed may be the machines behind these connections: a failover leaves the old one connected.
                await self._in_time(self._redis.connection_pool.disconnect(), self._timings.probe)
                await self._probe()
            except BackendUnavailable:
                continue
            break
        self._prober = None
        self._is_unavailable = False
        self._back_at = asyncio.get_running_loop().time()
        log.info("shared_backend_back", doing="all gateways count together")
