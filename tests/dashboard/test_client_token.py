"""What members do on the pages shares the rate of their client's keys."""

import pytest
from starlette.requests import Request

from gateway.dashboard.client_token import take_client_token
from gateway.errors import RateLimitExceeded
from tests.dashboard.support import signed_in
from tests.provisioning.support import status_with
from tests.support import World


async def test_a_page_takes_from_the_tokens_of_the_client_s_keys(world: World) -> None:
    key = await world.client_with_key()
    other = await world.client_with_key("globex")
    client = await world.services.clients.update(
        "acme", name="Acme", plan="free", rate=None, rate_total="2/60", most_keys=None
    )
    request = Request({"type": "http", "app": world.app})

    await take_client_token(request, client)
    assert [await status_with(world, key) for _ in range(2)] == [200, 429]
    with pytest.raises(RateLimitExceeded, match="2 requests per minute per client") as refusal:
        await take_client_token(request, client)

    assert refusal.value.retry_after == 30
    assert await status_with(world, other) == 200


async def test_a_sync_and_a_job_list_on_a_page_take_a_token_each(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection("acme")
    member = await signed_in(world, "acme")
    await world.services.clients.update("acme", name="Acme", plan="free", rate=None, rate_total="2/60", most_keys=None)

    started = await member.post(f"/dashboard/connections/{ours}/sync", data={})
    shown = await member.get(f"/dashboard/connections/{ours}")
    limited = await member.get(f"/dashboard/connections/{ours}")
    refused = await member.post(f"/dashboard/connections/{ours}/sync", data={})

    assert (started.status_code, shown.status_code) == (303, 200)
    assert "Rate limit exceeded" not in shown.text
    assert "2 requests per minute per client: try again in 30 s" in limited.text
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert "per client: try again in 30 s. No sync was started." in refused.text
    assert await status_with(world, key) == 429
