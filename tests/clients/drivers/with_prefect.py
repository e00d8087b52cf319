"""The living fork of Prefect's integration, which knows nothing but HTTP Basic."""

import asyncio
from urllib.parse import urlsplit

from airbyte_prefect import exceptions
from airbyte_prefect.connections import AirbyteConnection, AirbyteSync, AirbyteSyncResult
from airbyte_prefect.server import AirbyteServer

from tests.clients.drivers.scene import prepare, read_scene

scene = read_scene()
own = scene.acme.connections
place = urlsplit(scene.address)


def connection(key_id: str, key: str, connection_id: str) -> AirbyteConnection:
    server = AirbyteServer(username=key_id, password=key, server_host=place.hostname, server_port=place.port)
    return AirbyteConnection(airbyte_server=server, connection_id=connection_id, poll_interval_s=1)


async def start(connection_id: str) -> AirbyteSync:
    return await connection(scene.acme.key_id, scene.acme.key, connection_id).trigger()


async def sync(connection_id: str) -> AirbyteSyncResult:
    run = await start(connection_id)
    await run.wait_for_completion()
    return await run.fetch_result()


async def play() -> None:
    theirs = connection(scene.globex.key_id, scene.globex.key, scene.globex.connections.shop)
    await (await theirs.trigger()).wait_for_completion()
    for connection_id, kind in (
        (scene.globex.connections.shop, exceptions.ConnectionNotFoundException),
        (own.failing, exceptions.AirbyteSyncJobFailed),
    ):
        try:
            await sync(connection_id)
        except kind:
            continue
        raise AssertionError(f"no {kind}")
    result = await sync(own.shop)
    assert (result.job_status, result.records_synced) == ("succeeded", 12_000)

    prepare("queued")
    assert (await sync(own.queued)).job_status == "succeeded"
    prepare("running")
    first, second = await start(own.running), await start(own.running)
    assert first.job_id == second.job_id
    assert (await first.fetch_result()).job_status == "running"
    await second.wait_for_completion()

    try:
        await connection(scene.acme.expired_id, scene.acme.expired_key, own.shop).trigger()
    except exceptions.AirbyteServerNotHealthyException:
        return
    raise AssertionError("an expired key works")


asyncio.run(play())
