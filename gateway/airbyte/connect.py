"""Put together what calls to Airbyte need: connections, bulkhead, breaker, authorization."""

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

from gateway.airbyte.airbyte import Airbyte
from gateway.airbyte.bulkhead import Bulkhead
from gateway.airbyte.client import AirbyteClient, Connect, network
from gateway.airbyte.config_api import ConfigApi, ConfigObserver
from gateway.airbyte.executor import CallExecutor
from gateway.airbyte.reader import Reader, ReadObserver
from gateway.airbyte.resilience import Breakers
from gateway.airbyte.route import Route
from gateway.airbyte.timings import AirbyteTimings
from gateway.airbyte.token import Authorization, ClientCredentials, Credential, FixedAuthorization, token_call
from gateway.airbyte.trouble import TroubleLog
from gateway.settings.secret import Secret
from gateway.times import Clock

Auth = Literal["client_credentials", "basic", "none"]

CONFIG_CALLS_AT_ONCE = 4
"""The size of `config_bulkhead`: half of them one client's, of each gateway. They take no permit of the public API's
calls: reads never wait for an answer that can do without."""


class Observer(ReadObserver, ConfigObserver, Protocol):
    """Who hears of calls: how each ended, and rows that were dropped."""

    def count_call(self, outcome: str) -> None: ...


def connect_airbyte(
    *,
    base_url: str,
    config_url: str | None,
    route: Route,
    auth: Auth,
    identity: str,
    secret: Secret,
    bulkhead: Bulkhead,
    config_bulkhead: Bulkhead,
    clock: Clock,
    jitter: Callable[[], float],
    observer: Observer,
    traceparent: Callable[[], bytes | None],
    connect: Connect | None = None,
    timings: AirbyteTimings,
) -> Airbyte:
    """Return an Airbyte to call; nothing is sent yet. Raises OperatorError if a file of authorities cannot be used.

    `identity` is a client id or a user name; `connect` replaces the network. Without `config_url` no reason of a
    failure is asked for.
    """

    def executor_at(url: str, permits: Bulkhead, breakers: Breakers, count: Callable[[str], None]) -> CallExecutor:
        reach = connect or _network(url, route, timings, observer)
        forwarder = None if connect or url.startswith("https:") else route.proxy
        client = AirbyteClient(base_url=url, connect=reach, clock=clock, traceparent=traceparent, forwarder=forwarder)
        return build(client, bulkhead=permits, breakers=breakers, count_outcome=count, troubles=TroubleLog(url, route))

    build = partial(CallExecutor, clock=clock, jitter=jitter, pauses=timings.pause)
    executor = executor_at(base_url, bulkhead, Breakers(timings.breaker), observer.count_call)
    credential = Credential(identity, secret)
    authorization = _authorization(auth, credential, executor, clock, timings)
    reader = Reader(executor, authorization, timings.deadlines, observer=observer)
    of_answers = Breakers(timings.breaker, opens_when_late=True)
    config_executor = executor_at(config_url, config_bulkhead, of_answers, lambda _: None) if config_url else None
    config = ConfigApi(config_executor, authorization, clock, timings, observer=observer)
    return Airbyte(reader, config, clock, credential=credential, route=route, is_remote=connect is None)


def _network(url: str, route: Route, timings: AirbyteTimings, observer: Observer) -> Connect:
    return network(
        url,
        route,
        connect_seconds=timings.deadlines.connect,
        timings=timings.sockets,
        count_leftovers=observer.count_mismatch,
    )


def _authorization(
    auth: Auth, credential: Credential, executor: CallExecutor, clock: Clock, timings: AirbyteTimings
) -> Authorization:
    if auth == "client_credentials":
        return ClientCredentials(
            lambda: executor.fetch(token_call(credential.identity, credential.secret, timings.deadlines)),
            clock,
            timings.token,
        )
    return FixedAuthorization(credential if auth == "basic" else None)
