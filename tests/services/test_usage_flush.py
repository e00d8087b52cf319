"""When what is counted of keys is written."""

import asyncio
from pathlib import Path

from gateway.services import build_services
from gateway.services.timings import Timings
from gateway.store import create_database
from gateway.store.tables.usage import MOST_UNWRITTEN
from gateway.store.timings import StoreTimings
from tests.support import BOUND_SECONDS, HandClock, settings_in

NEVER_SECONDS = 1e6


async def test_the_calls_of_very_many_keys_are_written_before_it_is_time(tmp_path: Path) -> None:
    settings, clock = settings_in(tmp_path), HandClock()
    await create_database(settings.database_path)
    services = build_services(settings, clock, timings=Timings(store=StoreTimings(usage_flush=NEVER_SECONDS)))
    moment = clock.now().timestamp()
    async with services.opened(), asyncio.timeout(BOUND_SECONDS):
        await services.clients.add(slug="acme", name="Acme", plan="free")
        new = await services.keys.create("acme", name="test", scope="full", expires=None, rate=None)

        services.store.usage.count_first(new.record.id, moment, address=None, agent=None)
        for number in range(1, MOST_UNWRITTEN):
            services.store.usage.count_first(f"key_{number}", moment, address=None, agent=None)

        while (await services.store.api_keys.any_by_id(new.record.id)).last_used_at is None:
            await asyncio.sleep(0.01)
        assert not services.store.usage.has_many.is_set()
