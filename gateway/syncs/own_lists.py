"""Which of Airbyte's job lists have the jobs of all of a client's connections.

A workspace's list may hold other clients' jobs too: whose a job is, its connection tells.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from gateway.airbyte import JobList
from gateway.models import Connection
from gateway.syncs.workspace_lists import WORKSPACES_PER_CALL

MOST_BY_THEMSELVES = 10
"""Connections whose workspace is not known yet, each asked for by itself."""


class OwnConnections(msgspec.Struct, frozen=True):
    """Airbyte's ids of a client's mapped connections, by whether their workspace is known; and those workspaces."""

    placed: frozenset[str]
    unplaced: list[str]
    workspaces: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether `lists` leaves no connection out."""
        return len(self.unplaced) <= MOST_BY_THEMSELVES

    def lists(self, jobs: JobList) -> Iterator[JobList]:
        """Yield what to ask Airbyte for: as many workspaces in a call as it takes, then connections without one."""
        for first in range(0, len(self.workspaces), WORKSPACES_PER_CALL):
            some = tuple(self.workspaces[first : first + WORKSPACES_PER_CALL])
            yield msgspec.structs.replace(jobs, workspace_ids=some)
        for airbyte_id in self.unplaced[:MOST_BY_THEMSELVES]:
            yield msgspec.structs.replace(jobs, airbyte_id=airbyte_id)


def own_connections(connections: Iterable[Connection], covers: Callable[[str | None], bool] = bool) -> OwnConnections:
    """Sort a client's connections by whether their workspace is known; those that are not mapped have no jobs.

    `covers` tells which workspaces count as known: one that Airbyte refuses tells nothing.
    """
    mapped = [(each.airbyte_id, each.workspace_id) for each in connections if each.airbyte_id]
    return OwnConnections(
        placed=frozenset(airbyte_id for airbyte_id, workspace_id in mapped if covers(workspace_id)),
        unplaced=sorted(airbyte_id for airbyte_id, workspace_id in mapped if not covers(workspace_id)),
        workspaces=sorted({workspace_id for _, workspace_id in mapped if workspace_id and covers(workspace_id)}),
    )
