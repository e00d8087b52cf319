"""Two gateways in processes of their own tell the operator: each matter once, also when the one that does is killed."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.settings.secret import SecretUrl
from tests.postgres import PostgresServer, rows_of
from tests.support import BOUND_SECONDS
from tests.valkey import running_valkey
from tests.webhooks.support import Receiver, receiving

DISABLED = """
    INSERT INTO webhooks (id, client_id, url, events, connections, secret, created_at, told_since, disabled_at,
        disabled_reason)
    SELECT 'whk_1', id, 'https://hooks.example/', '[]', '[]', '', '2026', '2026', '2026', 'gone' FROM clients
    """
LEASE_HAS_ENDED = "UPDATE leases SET expires_at = 0 WHERE name = 'notices'"
"""Five minutes after the last look of a gateway that was killed."""


@pytest.fixture
def location(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


@asynccontextmanager
async def looking(settings: Path) -> AsyncIterator[Process]:
    """A gateway that has looked once, killed in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.together.looking_gateway", str(settings)), stdout=PIPE
    )
    try:
        await looks(process, 1)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def looks(process: Process, count: int) -> None:
    """Wait until it has ended so many looks from now on, those included that nobody has read of yet."""
    assert process.stdout is not None
    async with asyncio.timeout(BOUND_SECONDS):
        for _ in range(count):
            assert await process.stdout.readline() == b"looked\n"


async def unread(process: Process) -> int:
    """Read what it has said so far; return how many looks that were."""
    assert process.stdout is not None
    count = 0
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0):
                await process.stdout.readline()
            count += 1
    return count


def told(receiver: Receiver) -> Counter[tuple[str, str]]:
    contents = [message.content for message in receiver.messages]
    return Counter((each["type"], each["data"]["matter"].partition(":")[0]) for each in contents)


async def test_each_matter_is_told_once_also_when_the_gateway_that_tells_is_killed(
    tmp_path: Path, location: SecretUrl
) -> None:
    backups = tmp_path / "backups"
    with running_valkey(tmp_path) as valkey:
        async with receiving() as receiver:
            settings = tmp_path / "settings.toml"
            settings.write_text(
                f'[database]\nurl = "{location.reveal()}"\n[rate_limit]\nbackend = "{valkey.url}"\n'
                f'[notify]\nwebhook_url = "{receiver.url}"\nbackup_folder = "{backups}"\n'
            )
            rows_of(
                location, "INSERT INTO clients (slug, name, plan, created_at) VALUES ('acme', 'Acme', 'free', '2026')"
            )
            async with looking(settings) as first, looking(settings) as second:
                assert told(receiver) == {("notice.began", "backup_old"): 1}

                receiver.answer = lambda _: None
                rows_of(location, DISABLED)
                await receiver.until(2)
                await unread(second)
                await looks(second, 3)
                assert told(receiver)["notice.began", "webhook_disabled"] == 1
                receiver.answer = lambda _: 200
                receiver.release.set()
                await unread(first)
                await looks(first, 2)

                first.kill()
                await first.wait()
                rows_of(location, LEASE_HAS_ENDED)
                backups.mkdir()
                (backups / "gateway.db").touch()
                rows_of(location, "DELETE FROM webhooks")
                await receiver.until(4)
                await unread(second)
                await looks(second, 3)

    assert told(receiver) == {
        ("notice.began", "backup_old"): 1,
        ("notice.began", "webhook_disabled"): 1,
        ("notice.ended", "backup_old"): 1,
        ("notice.ended", "webhook_disabled"): 1,
    }
