"""Put together what calls to Airbyte need: connections, bulkhead, breaker, authorization."""

from collections.abc import Callable
from typing import Literal

from gateway.airbyte.airbyte import Airbyte
from gateway.airbyte.bulkhead import Bulkhead
from gateway.airbyte.client import AirbyteClient, Connect, network
from gateway.airbyte.executor import CallExecutor
from gateway.airbyte.reader import Reader
from gateway.airbyte.resilience import Breakers
from gateway.airbyte.route import Route
from gateway.airbyte.timings import Deadlines
from gateway.airbyte.token import Authorization, ClientCredentials, Credential, FixedAuthorization, token_call
from gateway.settings.secret import Secret
from gateway.times import Clock

Auth = Literal["client_credentials", "basic", "none"]


def connect_airbyte(
    *,
    base_url: str,
    route: Route,
    auth: Auth,
    identity: str,
    secret: Secret,
    bulkhead: Bulkhead,
    clock: Clock,
    jitter: Callable[[], float],
    count_mismatch: Callable[[int], None],
    count_odd: Callable[[int], None],
    count_outcome: Callable[[str], None],
    traceparent: Callable[[], bytes | None],
    connect: Connect | None = None,
    deadlines: Deadlines,
) -> Airbyte:
    """Return an Airbyte to call; nothing is sent yet. Raises OperatorError if a file of authorities cannot be used.

    `identity` is a client id or a user name; `connect` replaces the network.
    """
    client = AirbyteClient(
        base_url=base_url,
        connect=connect or network(base_url, route, connect_seconds=deadlines.connect, count_leftovers=count_mismatch),
        clock=clock,
        traceparent=traceparent,
        forwarder=None if connect or base_url.startswith("https:") else route.proxy,
    )
    executor = CallExecutor(
        client, bulkhead=bulkhead, breakers=Breakers(), clock=clock, jitter=jitter, count_outcome=count_outcome
    )
    credential = Credential(identity, secret)
    reader = Reader(
        executor,
        _authorization(auth, credential, executor, clock, deadlines),
        deadlines,
        count_mismatch=count_mismatch,
        count_odd=count_odd,
    )
    return Airbyte(reader, clock, credential=credential, route=route, is_remote=connect is None)


def _authorization(
    auth: Auth, credential: Credential, executor: CallExecutor, clock: Clock, deadlines: Deadlines
) -> Authorization:
    if auth == "client_credentials":
        return ClientCredentials(
            lambda: executor.fetch(token_call(credential.identity, credential.secret, deadlines)), clock
        )
    return FixedAuthorization(credential if auth == "basic" else None)
