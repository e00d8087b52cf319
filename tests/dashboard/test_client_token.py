"""What members do on the pages shares the rate of their client's keys."""

import pytest
from starlette.requests import Request

from gateway.dashboard.client_token import take_client_token
from gateway.errors import RateLimitExceeded
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
