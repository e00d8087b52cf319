"""What clients, keys, connections and jobs are, in plain records: the model that the gateway is compared with.

Times are whole seconds since the start. Nothing here asks the gateway or the sandbox anything.
"""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from typing import Any

from gateway.models import Scope
from gateway.provisioning.keys import NewKey
from gateway.sandbox.records import ConnectionStatus
from gateway.sandbox.timeline import Outcome
from gateway.times import format_time
from tests.support import START

LIVES: dict[Outcome, tuple[tuple[int, str], ...]] = {
    "succeeds": ((0, "pending"), (2, "running"), (10, "succeeded")),
    "fails": ((0, "pending"), (2, "running"), (10, "failed")),
    "retries": ((0, "pending"), (2, "running"), (10, "incomplete"), (14, "running"), (22, "succeeded")),
}
"""Seconds after its trigger → what the sandbox's job is from then on."""
BEGUN = 2
ROWS = 12_000
BYTES = ROWS * 512


def moment(seconds: int) -> str:
    return format_time(START + timedelta(seconds=seconds))


@dataclass(eq=False)
class Job:
    number: int
    started: int
    outcome: Outcome

    def changed(self, now: int) -> tuple[int, str]:
        """Its age at its last change, and what it is since."""
        return [step for step in LIVES[self.outcome] if step[0] <= now - self.started][-1]

    def status(self, now: int) -> str:
        return self.changed(now)[1]

    def is_open(self, now: int) -> bool:
        return self.status(now) not in {"succeeded", "failed"}

    def view(self, connection_id: str, now: int) -> dict[str, Any]:
        age, status = self.changed(now)
        share = min(max(now - self.started - BEGUN, 0) / (LIVES[self.outcome][-1][0] - BEGUN), 1.0)
        return {
            "jobId": self.number,
            "connectionId": connection_id,
            "status": status,
            "jobType": "sync",
            "startTime": moment(self.started),
            "bytesSynced": int(BYTES * share),
            "rowsSynced": int(ROWS * share),
            "duration": f"PT{age}S" if age else None,
        }


@dataclass(eq=False)
class Theirs:
    """A connection of Airbyte's and its jobs, oldest first."""

    id: str
    outcome: Outcome
    status: ConnectionStatus = "active"
    jobs: list[Job] = field(default_factory=list)

    def is_alive(self, now: int) -> bool:
        """What Airbyte has stays."""
        return True

    def open_job(self, now: int) -> Job | None:
        return next((job for job in self.jobs if job.is_open(now)), None)

    def page(self, now: int, status: str | None) -> list[dict[str, Any]]:
        """Newest first."""
        return [job.view(self.id, now) for job in reversed(self.jobs) if status in {None, job.status(now)}]


@dataclass(eq=False)
class Bucket:
    """Tokens, in exact fractions."""

    requests: int
    seconds: int
    updated: int
    tokens: Fraction = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.requests)

    def advance(self, now: int) -> None:
        gained = Fraction(self.requests, self.seconds) * (now - self.updated)
        self.tokens, self.updated = min(self.tokens + gained, Fraction(self.requests)), now

    @property
    def wait(self) -> int:
        """Whole seconds until the next token."""
        missing = math.floor(self.tokens) + 1 - self.tokens
        return max(1, math.ceil(missing * self.seconds / self.requests))


@dataclass(eq=False)
class Owner:
    """A client. One that comes after it under its slug is another one. `total` is what bounds all its keys."""

    slug: str
    created: int
    total: Bucket | None = None
    exists: bool = True

    def is_alive(self, now: int = 0) -> bool:
        return self.exists


@dataclass(eq=False)
class Ours:
    """A connection of a client's."""

    id: str
    owner: Owner
    created: int
    status: str = "pending"
    theirs: Theirs | None = None
    exists: bool = True

    def is_alive(self, now: int = 0) -> bool:
        return self.exists and self.owner.exists

    def belongs_to(self, owner: Owner) -> bool:
        return self.is_alive() and self.owner is owner

    def view(self, now: int) -> dict[str, Any]:
        newest = self.theirs.jobs[-1] if self.theirs and self.theirs.jobs else None
        return {
            "id": self.id,
            "connector_type": "shopify",
            "label": "Shop",
            "status": self.status,
            "last_sync_at": moment(newest.started) if newest else None,
            "last_sync_status": newest.status(now) if newest else None,
            "created_at": moment(self.created),
        }


@dataclass(eq=False)
class Key:
    """A key. Its successor goes on with its bucket."""

    new: NewKey
    owner: Owner
    scope: Scope
    created: int
    ends: int | None
    bucket: Bucket
    is_revoked: bool = False
    is_rotated: bool = False

    def has_ended(self, now: int) -> bool:
        return self.is_revoked or (self.ends is not None and self.ends <= now)

    def is_alive(self, now: int) -> bool:
        return self.owner.exists and not self.has_ended(now)

    def take(self, now: int) -> Bucket | None:
        """Take a token of the key's and one of its client's, or neither; return the bucket that must be waited for."""
        buckets = [bucket for bucket in (self.bucket, self.owner.total) if bucket]
        for bucket in buckets:
            bucket.advance(now)
        empty = [bucket for bucket in buckets if bucket.tokens < 1]
        if empty:
            return max(empty, key=lambda bucket: bucket.wait)
        for bucket in buckets:
            bucket.tokens -= 1
        return None
