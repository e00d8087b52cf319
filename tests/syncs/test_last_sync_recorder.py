"""What is written of the jobs that Airbyte tells, and what is not written again."""

from dataclasses import dataclass

import msgspec
import pytest

from gateway.models import Job
from gateway.syncs.last_sync_recorder import LastSyncRecorder, ended_syncs
from tests.support import World


@dataclass
class Recorded:
    """A recorder, and a connection of Airbyte's that is mapped."""

    world: World
    recorder: LastSyncRecorder
    airbyte_id: str

    def job(self, number: int, status: str = "succeeded", *, rows: int | None = 10) -> Job:
        start = f"2026-03-{number:02}T03:00:00.000Z"
        return Job(number, self.airbyte_id, status, "sync", start, rows, rows, "PT1H")

    async def held(self) -> list[int]:
        held = await self.world.services.store.last_syncs.recent([self.airbyte_id])
        return [sync.job_id for sync in held[self.airbyte_id]]

    async def writes_of(self, *jobs: Job) -> bool:
        """Whether recording these writes anything."""
        health = self.world.services.store.health
        before = health.writes
        await self.recorder.record(jobs)
        return health.writes > before


@pytest.fixture
async def recorded(world: World) -> Recorded:
    await world.client_with_key()
    _, theirs = await world.mapped_connection()
    return Recorded(world, LastSyncRecorder(world.services.store, world.clock), theirs)


async def test_what_is_held_is_not_written_again(recorded: Recorded) -> None:
    jobs = [recorded.job(number) for number in range(1, 15)]
    assert await recorded.writes_of(*jobs)

    assert not await recorded.writes_of(*jobs)
    assert not await recorded.writes_of(jobs[0], jobs[-1])
    assert await recorded.held() == list(range(14, 3, -1))


async def test_an_older_sync_that_changed_is_written_without_being_the_newest(recorded: Recorded) -> None:
    await recorded.recorder.record([recorded.job(1), recorded.job(2)])

    assert await recorded.writes_of(recorded.job(1, rows=11), recorded.job(2))


@pytest.mark.parametrize(
    "change", [{"status": "running"}, {"status": "odd_word"}, {"job_type": "reset"}, {"start_time": None}]
)
def test_only_syncs_that_ended_count(change: dict[str, str | None]) -> None:
    job = Job(1, "airbyte", "failed", "sync", "2026-03-01T03:00:00.000Z", 0, 0, "PT1M30S")
    (ended,) = ended_syncs([job])

    assert ended.ended_at == "2026-03-01T03:01:30.000Z"
    assert ended_syncs([msgspec.structs.replace(job, **change)]) == []


def test_without_a_duration_a_sync_ended_when_it_was_created() -> None:
    job = Job(1, "airbyte", "failed", "sync", "2026-03-01T03:00:00.000Z", None, None, None)

    assert ended_syncs([job])[0].ended_at == job.start_time
