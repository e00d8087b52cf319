"""Puts the border together: transport, bulkhead, breaker, authorization."""

from collections.abc import Callable
from typing import Literal

from gateway.airbyte.airbyte import Airbyte, token_call
from gateway.airbyte.bulkhead import Bulkhead
from gateway.airbyte.call import Deadlines
from gateway.airbyte.client import AirbyteClient, Transport, network_transports
from gateway.airbyte.executor import CallExecutor
from gateway.airbyte.resilience import Breaker
from gateway.airbyte.slots import Slots
from gateway.airbyte.token import Authorization, ClientCredentials, Credential, FixedAuthorization
from gateway.settings.secret import Secret
from gateway.times import Clock


def connect_airbyte(
    *,
    base_url: str,
    auth: Literal["client_credentials", "basic", "none"],
    identity: str,
    secret: Secret,
    bulkhead: Bulkhead,
    clock: Clock,
    jitter: Callable[[], float],
    count_mismatch: Callable[[int], None],
    transport: Transport | None = None,
    deadlines: Deadlines,
) -> Airbyte:
    """Nothing is sent yet. `identity` is a client id or a user name; `transport` replaces the network."""
    client = AirbyteClient(
        base_url=base_url,
        slots=Slots(network_transports() if transport is None else lambda: transport),
        clock=clock,
        connect_seconds=deadlines.connect,
        count_leftovers=count_mismatch,
    )
    executor = CallExecutor(client, bulkhead=bulkhead, breaker=Breaker(), clock=clock, jitter=jitter)
    credential = Credential(identity, secret)
    authorization: Authorization = FixedAuthorization()
    if auth == "client_credentials":
        authorization = ClientCredentials(
            lambda: executor.fetch(token_call(credential.identity, credential.secret, deadlines)), clock
        )
    elif auth == "basic":
        authorization = FixedAuthorization(credential)
    return Airbyte(
        executor,
        authorization,
        clock,
        count_mismatch,
        deadlines,
        credential=credential,
        is_remote=transport is None,
    )
