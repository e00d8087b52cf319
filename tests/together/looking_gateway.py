"""Look all the time for what the operator is told: `python -m tests.together.looking_gateway SETTINGS`.

It says so after each look. A served gateway looks once a minute.
"""

import asyncio
import sys
from pathlib import Path

from gateway.services import build_services
from gateway.settings import load_settings
from gateway.telemetry.log import configure_log
from gateway.times import SystemClock

PAUSE_SECONDS = 0.1


async def look_all_the_time(settings: Path) -> None:
    configure_log(level="error", style="console")
    services = build_services(load_settings(settings, {}), SystemClock())
    async with services.opened(services.cluster.joined()):
        while True:
            await services.notices.watch.look()
            sys.stdout.write("looked\n")
            sys.stdout.flush()
            await asyncio.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    asyncio.run(look_all_the_time(Path(sys.argv[1])))
