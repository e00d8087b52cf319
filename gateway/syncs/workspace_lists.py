"""Ask Airbyte about many workspaces in one call, and single out those that it refuses.

A list with one workspace that the credential may not read is refused as a whole (403). It is halved until that
workspace is alone, which is then left out and asked for by itself with growing pauses.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice

import msgspec
import structlog

from gateway.errors import UpstreamBusy, UpstreamError, UpstreamInvalid
from gateway.syncs.backoff import Backoff
from gateway.syncs.timings import BackoffTimings
from gateway.times import Clock

WORKSPACES_PER_CALL = 100
"""A workspace takes 37 bytes of URL; Airbyte takes 32 KB of request head."""
MOST_RETRIED = 10
"""Refused workspaces that one reading returns to, a call each."""
MOST_CALLS = 250
"""Of one reading: a list of 100 that is refused throughout takes 199."""
ALL_WORKSPACES = "all workspaces"

log = structlog.get_logger()


class Reading(msgspec.Struct, frozen=True):
    """What came of asking: the workspaces told of, those newly refused, and why others could not be read."""

    read: frozenset[str]
    refused: frozenset[str]
    failure: UpstreamError | None


class WorkspaceLists:
    """Remembers which workspaces Airbyte refuses. An answer that cannot be read counts as a refusal."""

    def __init__(self, clock: Clock, timings: BackoffTimings) -> None:
        self._refused: Backoff[str] = Backoff(clock, timings)

    def is_refused(self, workspace_id: str) -> bool:
        """Return whether Airbyte refused the workspace when it was asked for last."""
        return workspace_id in self._refused

    async def read(self, workspaces: Sequence[str], ask: Callable[[list[str]], Awaitable[None]]) -> Reading:
        """Await `ask` with lists of the workspaces until each has been told of, refused or passed over.

        While Airbyte refuses every one it is the whole that fails, and none is singled out.
        """
        self._refused.keep_only([*workspaces, ALL_WORKSPACES])
        known = [each for each in workspaces if each in self._refused]
        lists = deque(_batches([each for each in workspaces if each not in self._refused]))
        lists.extend([each] for each in islice(filter(self._refused.is_due, known), MOST_RETRIED))
        read: set[str] = set()
        refusals: dict[str, UpstreamInvalid] = {}
        failure: UpstreamError | None = None
        calls = 0
        while lists and calls < MOST_CALLS:
            calls += 1
            some = lists.popleft()
            try:
                await ask(some)
                read.update(some)
            except UpstreamInvalid as error:
                if len(some) == 1:
                    refusals[some[0]] = error
                elif self._refused.is_due(ALL_WORKSPACES):
                    lists.extend((some[: len(some) // 2], some[len(some) // 2 :]))
                else:
                    failure = error
            except UpstreamError as error:
                failure = error
                if isinstance(error, UpstreamBusy):
                    break
        if lists and failure is None:
            failure = UpstreamInvalid(detail=f"more than {MOST_CALLS} calls to find the workspaces that are refused")
        return self._learn(frozenset(read), refusals, failure)

    def _learn(
        self, read: frozenset[str], refusals: dict[str, UpstreamInvalid], failure: UpstreamError | None
    ) -> Reading:
        if refusals and not read:
            self._refused.fail(ALL_WORKSPACES)
            return Reading(read, frozenset(), failure or next(iter(refusals.values())))
        self._refused.forget(ALL_WORKSPACES)
        new = frozenset(each for each in refusals if each not in self._refused)
        for workspace_id in read:
            self._refused.forget(workspace_id)
        for workspace_id, error in refusals.items():
            log.warning("workspace_refused", workspace=workspace_id, detail=error.detail)
            self._refused.fail(workspace_id)
        return Reading(read, new, failure)


def _batches(workspaces: list[str]) -> Iterator[list[str]]:
    """Yield the workspaces in groups that one call to Airbyte can name."""
    for first in range(0, len(workspaces), WORKSPACES_PER_CALL):
        yield workspaces[first : first + WORKSPACES_PER_CALL]
