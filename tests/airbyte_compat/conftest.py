"""Two tenants."""

import pytest

from tests.airbyte_compat.support import Tenant, tenant
from tests.support import World


@pytest.fixture
async def acme(world: World) -> Tenant:
    return await tenant(world)


@pytest.fixture
async def globex(world: World) -> Tenant:
    return await tenant(world, "globex")
