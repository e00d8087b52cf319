"""What holds for three gateways as for one: the limit, one job for many triggers, what is revoked, who is signed in."""

import asyncio
import re
import secrets
from collections import Counter
from time import monotonic

from gateway.cluster.shared_bulkhead import KIND_KEYS
from tests import plain_http
from tests.cli.conftest import wait_until
from tests.dashboard.support import HEADERS, PASSWORD
from tests.faults.installation import key_header
from tests.postgres import rows_of
from tests.together.support import (
    FEW,
    FRESHNESS_SECONDS,
    Cluster,
    assert_simultaneous_triggers_are_one_job,
    at_once,
    undisturbed,
)
from tests.valkey import operator

CALLS = 250
LIMIT = 100
TRIGGERS = 100
ROUNDS = 4
HANG_UPS = 1000
HANG_UPS_AT_ONCE = 100
LONGEST_MILLISECONDS = 50
SPARE_TASKS = 5
"""Heartbeats and the like, which come and go."""


def test_of_250_calls_on_three_gateways_exactly_the_limit_passes(cluster: Cluster) -> None:
    def counted() -> Counter[int]:
        cluster.wait_until_together()
        key = cluster.installation.key(f"{LIMIT}/86400")
        urls = [f"{cluster.addresses[number % 3]}/api/v1/status" for number in range(CALLS)]
        return Counter(answer.status_code for answer in asyncio.run(at_once(urls, key, most=FEW)))

    codes = undisturbed(counted, cluster.times_unavailable)

    assert codes == {200: LIMIT, 429: CALLS - LIMIT}


def test_100_triggers_on_three_gateways_are_one_job(cluster: Cluster) -> None:
    assert_simultaneous_triggers_are_one_job(cluster, TRIGGERS)


def test_what_is_revoked_is_refused_by_every_gateway(cluster: Cluster) -> None:
    key = cluster.installation.key("3/86400")
    urls = [f"{address}/api/v1/status" for address in cluster.addresses]
    assert [answer.status_code for answer in asyncio.run(at_once(urls, key))] == [200] * 3
    assert [answer.status_code for answer in asyncio.run(at_once(urls, key))] == [429] * 3

    revoked = plain_http.post(f"{cluster.addresses[0]}/api/v1/keys/revoke", headers=key_header(key))
    assert revoked.status_code < 300, revoked.text

    wait_until(lambda: {answer.status_code for answer in asyncio.run(at_once(urls, key))} == {401})


def test_a_rate_of_a_clients_own_holds_on_every_gateway(cluster: Cluster) -> None:
    key = cluster.installation.stage("key", "create", "--client", "acme", "--name", "plain")
    urls = [f"{address}/api/v1/status" for address in cluster.addresses]
    asyncio.run(at_once(urls, key))

    cluster.installation.write("UPDATE clients SET rate_requests = 7, rate_seconds = 60 WHERE slug = 'acme'")

    wait_until(
        lambda: (
            {answer.headers["ratelimit-policy"] for answer in asyncio.run(at_once(urls, key))} == {'"default";q=7;w=60'}
        )
    )


def signed_in(cluster: Cluster) -> dict[str, str]:
    """The headers of a new member's browser, who set a password on the first gateway."""
    email = f"ann-{secrets.token_hex(4)}@acme.example"
    link = cluster.installation.stage("user", "invite", "--client", "acme", "--email", email).split()[0]
    path = re.sub(r"^https?://[^/]+", "", link)
    password = {"password": PASSWORD, "again": PASSWORD}
    accepted = plain_http.post(f"{cluster.addresses[0]}{path}", data=password, headers=HEADERS)
    assert accepted.status_code == 303, accepted.text
    return {**HEADERS, "Cookie": accepted.headers["set-cookie"].partition(";")[0]}


def test_who_signed_in_on_one_gateway_is_known_on_the_others(cluster: Cluster) -> None:
    browser = signed_in(cluster)

    pages = [plain_http.get(f"{address}/dashboard", headers=browser) for address in cluster.addresses]

    assert [page.status_code for page in pages] == [200] * 3
    assert all("@acme.example" in page.text for page in pages)


def test_last_syncs_are_asked_for_by_one_gateway_at_a_time(cluster: Cluster) -> None:
    key = cluster.installation.key()
    cluster.installation.connections(1)
    urls = [f"{address}/api/v1/connections" for address in cluster.addresses] * 2
    asyncio.run(at_once(urls, key))
    requests = cluster.installation.airbyte.sandbox.requests
    requests.clear()
    began = monotonic()
    while sum("updatedAtStart" in request.query for request in requests) < ROUNDS:
        answers = asyncio.run(at_once(urls, key))
        assert {(answer.status_code, answer.headers.get("warning")) for answer in answers} == {(200, None)}

    # The first may have been under way, the second come at once, and each other when the one before is too old.
    assert monotonic() - began > (ROUNDS - 2) * FRESHNESS_SECONDS


def test_each_gateway_says_how_it_counts(cluster: Cluster) -> None:
    for address in cluster.addresses:
        metrics = plain_http.get(f"{address}/metrics").text
        assert "\ngateway_cluster_gateways 3.0\n" in metrics
        assert "\ngateway_rate_limit_local 0.0\n" in metrics


async def hang_up(address: str, method: str, path: str, key: str, seconds: float) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    await asyncio.sleep(seconds)
    writer.transport.abort()


async def hang_up_on_all(cluster: Cluster, calls: list[tuple[str, str]], key: str) -> None:
    """Each at a moment of its own: before, while and after the database, Valkey or Airbyte is asked."""
    numbers = iter(range(HANG_UPS))
    while some := [number for number, _ in zip(numbers, range(HANG_UPS_AT_ONCE), strict=False)]:
        await asyncio.gather(
            *(
                hang_up(
                    cluster.addresses[number % 3],
                    *calls[number % len(calls)],
                    key,
                    number % LONGEST_MILLISECONDS / 1000,
                )
                for number in some
            )
        )


def test_a_thousand_callers_who_hang_up_leave_nothing_behind(cluster: Cluster) -> None:
    key = cluster.installation.key()
    paths = [f"/api/v1/connections/{ours}" for ours, _ in cluster.installation.connections(31)]
    calls = [("POST", f"{path}/sync") for path in paths] + [("GET", f"{path}/jobs") for path in paths]
    calls += [("GET", "/api/v1/status"), ("GET", "/api/v1/connections"), ("GET", "/api/v1/none")]
    tasks = cluster.figure("tasks")
    url = cluster.installation.url

    asyncio.run(hang_up_on_all(cluster, calls, key))

    wait_until(lambda: cluster.figure("tasks") <= tasks + SPARE_TASKS)
    wait_until(lambda: rows_of(url, "SELECT 1 FROM triggers WHERE outcome IS NULL") == [])
    with operator(cluster.valkey) as redis:
        wait_until(lambda: sum(redis.zcard(name) for name in KIND_KEYS.values()) == 0)
    wait_until(
        lambda: (
            rows_of(
                url,
                "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database() "
                "AND (locktype = 'advisory' OR state LIKE 'idle in transaction%')",
            )
            == []
        )
    )
    ((ours, _),) = cluster.installation.connections(1)
    urls = [f"{address}/api/v1/connections" for address in cluster.addresses] * 10
    assert {answer.status_code for answer in asyncio.run(at_once(urls, key))} == {200}
    wait_until(lambda: cluster.gateways[1].trigger(ours, key).status_code == 200)
