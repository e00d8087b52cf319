"""What tests of people who sign in share."""

import pytest

from gateway.auth.accounts import Accounts
from tests.auth.support import accounts_of
from tests.support import World


@pytest.fixture
async def accounts(world: World) -> Accounts:
    """Those of a gateway with the client acme."""
    await world.client_with_key()
    return accounts_of(world)
