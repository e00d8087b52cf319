"""Ask Airbyte about many workspaces in one call, and single out those that it does not tell of.

A list with one workspace that the credential may not read is refused as a whole (403), and one whose jobs cannot be
read may fail or delay the whole too (5xx, no answer). It is halved until that workspace is alone, which is then left
out and asked for by itself with growing pauses.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import msgspec
import structlog

from gateway.errors import UpstreamBusy, UpstreamError
from gateway.syncs.backoff import Backoff
from gateway.syncs.timings import WorkspaceTimings
from gateway.syncs.together import together
from gateway.times import Clock

WORKSPACES_PER_CALL = 100
"""A workspace takes 37 bytes of URL; Airbyte takes 32 KB of request head."""
MOST_RETRIED = 10
"""Workspaces passed over that one round returns to, a call each."""
MOST_FAILED = 250
"""Calls of one reading that may fail: a list of 100 that is refused throughout takes 199. Then none is halved."""
ALL_WORKSPACES = "all workspaces"

log = structlog.get_logger()

Ask = Callable[[list[str]], Awaitable[None]]


class Reading(msgspec.Struct, frozen=True):
    """What came of asking: the workspaces told of, those passed over from now on, and why it failed as a whole."""

    read: frozenset[str]
    refused: frozenset[str]
    failure: UpstreamError | None


@dataclass
class _Progress:
    """How far one reading has come."""

    lists: deque[list[str]]
    halves_until: float
    read: set[str] = field(default_factory=set)
    refusals: dict[str, UpstreamError] = field(default_factory=dict)
    failure: UpstreamError | None = None
    failed: int = 0


class WorkspaceLists:
    """Remembers which workspaces Airbyte does not tell of. An answer that cannot be read counts as a refusal."""

    def __init__(self, clock: Clock, timings: WorkspaceTimings, *, at_once: int) -> None:
        """Ask for so many lists `at_once`."""
        self._clock = clock
        self._at_once = at_once
        self._search_seconds = timings.search
        self._refused: Backoff[str] = Backoff(clock, timings.backoff)

    @property
    def refused(self) -> frozenset[str]:
        """The workspaces that Airbyte did not tell of when it was asked for them last."""
        return frozenset(self._refused.keys()) - {ALL_WORKSPACES}

    def is_refused(self, workspace_id: str) -> bool:
        """Return whether Airbyte did not tell of the workspace when it was asked last."""
        return workspace_id in self._refused

    async def read(self, workspaces: Sequence[str], ask: Ask) -> Reading:
        """Await `ask` with lists of the workspaces until each has been told of, or is passed over.

        While Airbyte tells of none it is the whole that fails, and none is singled out. Raises what `ask` raises, other
        than UpstreamError.
        """
        self._refused.keep_only([*workspaces, ALL_WORKSPACES])
        progress = _Progress(
            lists=deque(_batches([each for each in workspaces if each not in self._refused])),
            halves_until=self._clock.monotonic() + self._search_seconds,
        )
        await together(self._read_lists(progress, ask) for _ in range(min(self._at_once, len(progress.lists))))
        return self._learn(frozenset(progress.read), progress.refusals, progress.failure)

    async def _read_lists(self, progress: "_Progress", ask: Ask) -> None:
        while progress.lists and progress.failure is None:
            some = progress.lists.popleft()
            try:
                await ask(some)
                progress.read.update(some)
            except UpstreamError as error:
                progress.failed += 1
                if _is_of_the_whole(error):
                    progress.failure = error
                elif len(some) > 1 and progress.failed < MOST_FAILED and self._may_halve(progress.halves_until):
                    progress.lists.extend((some[: len(some) // 2], some[len(some) // 2 :]))
                else:
                    progress.refusals |= dict.fromkeys(some, error)

    async def retry(self, ask: Ask) -> Reading:
        """Await `ask` with each of some workspaces that are passed over and due, for a while."""
        read: set[str] = set()
        until = self._clock.monotonic() + self._search_seconds
        for workspace_id in list(islice(filter(self._refused.is_due, self.refused), MOST_RETRIED)):
            if self._clock.monotonic() >= until:
                break
            try:
                await ask([workspace_id])
            except UpstreamError as error:
                if _is_of_the_whole(error):
                    return Reading(frozenset(read), frozenset(), error)
                self._pass_over(workspace_id, error)
            else:
                read.add(workspace_id)
                self._refused.forget(workspace_id)
        return Reading(frozenset(read), frozenset(), None)

    def _may_halve(self, until: float) -> bool:
        return self._refused.is_due(ALL_WORKSPACES) and self._clock.monotonic() < until

    def _learn(
        self, read: frozenset[str], refusals: dict[str, UpstreamError], failure: UpstreamError | None
    ) -> Reading:
        if refusals and not read:
            if self._refused.is_due(ALL_WORKSPACES):
                self._refused.fail(ALL_WORKSPACES)
            return Reading(read, frozenset(), failure or next(iter(refusals.values())))
        if read:
            self._refused.forget(ALL_WORKSPACES)
        for workspace_id, error in refusals.items():
            self._pass_over(workspace_id, error)
        return Reading(read, frozenset(refusals), failure)

    def _pass_over(self, workspace_id: str, error: UpstreamError) -> None:
        log.warning("workspace_refused", workspace=workspace_id, error=error.message, detail=error.detail)
        self._refused.fail(workspace_id)


def _is_of_the_whole(error: UpstreamError) -> bool:
    """Return whether the failure says nothing about the workspaces: Airbyte is busy, or was not reached at all."""
    return isinstance(error, UpstreamBusy) or not error.reached


def _batches(workspaces: list[str]) -> Iterator[list[str]]:
    """Yield the workspaces in groups that one call to Airbyte can name."""
    for first in range(0, len(workspaces), WORKSPACES_PER_CALL):
        yield workspaces[first : first + WORKSPACES_PER_CALL]
