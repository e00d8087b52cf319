"""The way to Valkey (or Redis): scripts run in batches, each in its time, and whether the server can be relied upon.

What callers ask in one moment goes to the server in one round trip. While the server is away nobody waits for it: one
task asks from time to time whether it is back.
"""

import asyncio
import math
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.cluster.scripts import Argument, BackendUnavailable, Script, ServerFacts
from gateway.settings.secret import SecretUrl

PATIENCE_SECONDS = 0.075
"""For a batch, from its sending. With the wait for one's turn to be sent the decision falls within 100 ms."""
LATE_SECONDS = 0.02
"""A deadline noticed later than this found the machine or the event loop standing still, which says nothing about the
server: its answer may well be there."""
MOST_LATE = 5
PROBE_SECONDS = 1.0
"""For a probe, which also connects. Nobody waits for it but the start."""
PROBE_KEY = "gateway:probe"
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""A server that goes away again sooner than this after it came back is asked less often."""
LARGEST_BATCH = 200
BATCHES_AT_ONCE = 4
"""So that behind a slow answer nobody waits for more than a part of its time."""
CONNECTIONS = BATCHES_AT_ONCE + 1
"""The last for the probe."""

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True)
class Question:
    """A script to run, and where its answer goes."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Argument]
    answer: "asyncio.Future[Any]" = field(repr=False)


class Valkey:
    """Cheap to build; `open` asks whether the server is there, and serves without it if it is not."""

    def __init__(self, url: SecretUrl) -> None:
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url.reveal(),
                max_connections=CONNECTIONS,
                timeout=PROBE_SECONDS,
                socket_connect_timeout=PROBE_SECONDS,
                socket_timeout=PROBE_SECONDS,
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
        self._prober: asyncio.Task[None] | None = None
        self._is_away = True
        self._is_closed = False
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._back_at = -math.inf

    @property
    def is_away(self) -> bool:
        return self._is_away

    async def open(self) -> None:
        try:
            await self._probe()
        except BackendUnavailable as reason:
            self._leave(str(reason))
        else:
            self._is_away = False

    async def close(self) -> None:
        self._is_away = self._is_closed = True
        tasks = {*self._senders, *({self._prober} if self._prober else ())}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        # A task that is cancelled before its first step never comes to its end.
        self._give_up(self._questions)
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(PROBE_SECONDS):
                await self._redis.aclose(close_connection_pool=True)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """What the script returns. Raises BackendUnavailable, at the latest when the patience has ended."""
        if self._is_away:
            raise BackendUnavailable
        answer = asyncio.get_running_loop().create_future()
        self._questions.append(Question(script, keys, arguments, answer))
        self._have_sent()
        return await answer

    def _have_sent(self) -> None:
        """In the next turn of the event loop: until then others may ask too."""
        if self._is_sender_due or len(self._senders) >= BATCHES_AT_ONCE:
            return
        self._is_sender_due = True
        sender = asyncio.create_task(self._send())
        self._senders.add(sender)
        sender.add_done_callback(self._end)

    def _end(self, sender: "asyncio.Task[None] | None") -> None:
        if sender is not None:
            self._senders.discard(sender)

    async def _send(self) -> None:
        """One batch after the other, until nobody asks any more."""
        self._is_sender_due = False
        while self._questions:
            batch, self._questions = self._questions[:LARGEST_BATCH], self._questions[LARGEST_BATCH:]
            try:
                self._hand_out(batch, await self._in_time(self._exchange(batch), PATIENCE_SECONDS))
            except BackendUnavailable as reason:
                self._leave(str(reason))
                self._give_up(self._questions)
            finally:
                self._give_up(batch)
        # Not first by the callback: who asks before that would take this sender for one who still looks.
        self._end(asyncio.current_task())

    @staticmethod
    def _give_up(questions: list[Question]) -> None:
        """Those that were not answered yet."""
        while questions:
            question = questions.pop()
            if not question.answer.done():
                question.answer.set_exception(BackendUnavailable())

    def _hand_out(self, batch: list[Question], answers: list[Any]) -> None:
        for question, answer in zip(batch, answers, strict=True):
            if question.answer.done():
                continue
            if isinstance(answer, Exception):
                question.answer.set_exception(BackendUnavailable(str(answer)))
            else:
                question.answer.set_result(answer)
        refusal = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if refusal is not None:
            # Full, or a replica that takes no writes: no better for the next one who asks.
            self._leave(str(refusal))

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

    @staticmethod
    async def _in_time(exchange: Awaitable[T], patience: float) -> T:
        """Return what comes of it.

        Raises BackendUnavailable if it fails, or if it takes longer and no stand-still of ours explains that.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(exchange)
        try:
            for _ in range(MOST_LATE):
                due = loop.time() + patience
                await asyncio.wait({task}, timeout=patience)
                if task.done() or loop.time() - due < LATE_SECONDS:
                    break
            if not task.done():
                raise BackendUnavailable(f"no answer within {round(patience * 1000)} ms")
            return task.result()
        except (RedisError, OSError) as error:
            raise BackendUnavailable(f"{type(error).__name__}: {error}") from None
        finally:
            if not task.done():
                # redis-py closes a connection whose answer was not waited for.
                task.cancel()
                await asyncio.wait({task})

    async def facts(self) -> ServerFacts:
        """Works without `open`. Raises BackendUnavailable."""
        await self._probe()
        found = await self._in_time(self._redis.info(), PROBE_SECONDS)
        kind = "Valkey" if "valkey_version" in found else "Redis"
        version = found.get("valkey_version", found.get("redis_version", ""))
        return ServerFacts(f"{kind} {version}", found.get("maxmemory_policy", ""), int(found.get("maxmemory", 0)))

    async def _probe(self) -> None:
        # Making a connection may take longer than a batch may: later, the first moment with many callers would find the
        # server slow.
        await self._in_time(self._connected(), PROBE_SECONDS)
        # What counts now is how soon it answers, and whether it takes anything: a full server and a replica do not.
        await self._in_time(self._redis.set(PROBE_KEY, "", px=1000), PATIENCE_SECONDS)

    async def _connected(self) -> None:
        answers = await asyncio.gather(*(self._redis.ping() for _ in range(CONNECTIONS)), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _leave(self, reason: str) -> None:
        if self._is_closed or self._prober is not None:
            return
        self._is_away = True
        is_steady = asyncio.get_running_loop().time() - self._back_at > STEADY_SECONDS
        self._pause_seconds = FIRST_PAUSE_SECONDS if is_steady else min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        log.warning("shared_backend_away", detail=reason, doing="each gateway counts its share by itself")
        self._prober = asyncio.create_task(self._probe_until_back())

    async def _probe_until_back(self) -> None:
        while True:
            await asyncio.sleep(self._pause_seconds)
            try:
                await self._probe()
            except BackendUnavailable:
                continue
            break
        self._prober = None
        self._is_away = False
        self._back_at = asyncio.get_running_loop().time()
        log.info("shared_backend_back", doing="all gateways count together")
