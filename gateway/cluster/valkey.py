"""Run scripts on Valkey (or Redis) in batches, each within its time, and know whether the server can be relied upon.

What callers ask in one moment goes to the server in one round trip. While the server is unavailable nobody waits for
it: a background task probes from time to time whether it is back.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import structlog

from gateway.background import Background, BackgroundTask, Progress
from gateway.cluster.answers import Argument
from gateway.cluster.script_server import BATCHES_AT_ONCE, Question, ScriptServer
from gateway.cluster.scripts import BackendUnavailable, Script, ServerFacts
from gateway.cluster.timings import ValkeyTimings
from gateway.settings.secret import SecretUrl

PROBER = "valkey probe"
LARGEST_BATCH = 200

T = TypeVar("T")
log = structlog.get_logger()


class Valkey:
    """Cheap to build; `open` asks whether the server is there, and serves without it if it is not."""

    def __init__(self, url: SecretUrl, *, background: Background, timings: ValkeyTimings | None = None) -> None:
        self._background = background
        self._timings = timings or ValkeyTimings()
        self._server = ScriptServer(url, self._timings)
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
            await self._server.probe()
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
        await self._server.close()

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
                self._hand_out(batch, await self._server.answer(batch))
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

    async def facts(self) -> ServerFacts:
        """Ask the server about itself; works without `open`. Raises BackendUnavailable."""
        return await self._server.facts()

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
                await self._server.reconnect()
            except BackendUnavailable:
                continue
            break
        self._prober = None
        self._is_unavailable = False
        self._back_at = asyncio.get_running_loop().time()
        log.info("shared_backend_back", doing="all gateways count together")
