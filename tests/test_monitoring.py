"""The alerts and the dashboard that go with the gateway: each alert fires for the trouble it is for, and not before."""

import asyncio
import json
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from starlette.requests import Request
from starlette.routing import Route

from gateway import __version__
from gateway.app import build_gate
from gateway.background import Progress
from gateway.errors import UpstreamError
from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from gateway.settings.secret import Secret, SecretUrl
from gateway.webhooks.delivery import WEBHOOK_DELIVERY
from tests import plain_http
from tests.cli.conftest import wait_until
from tests.faults.installation import install, sandbox_airbyte
from tests.other_program import other_program
from tests.ports import free_port
from tests.programs import required_program
from tests.support import BOUND_SECONDS, World, bearer, running_gateway
from tests.valkey import running_valkey

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy/alerts.yaml"
DASHBOARD = ROOT / "deploy/grafana-dashboard.json"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
METRIC = re.compile(r"\b(?:gateway|process)_[a-z_]+\b")
OF_PROMETHEUS = {"GatewayDown"}
"""About what Prometheus itself knows: a real one tells."""
JSON = (("content-type", "application/json"),)

Fault = Callable[[World], Awaitable[None]]


async def scraped(world: World) -> dict[str, str]:
    """Each series and its value, as Prometheus reads them."""
    page = (await world.http.get("/metrics")).text
    return {name: value for name, _, value in (line.rpartition(" ") for line in page.splitlines() if line[0] != "#")}


async def airbyte_fails(world: World) -> None:
    """For several clients."""
    slugs = ("acme", "globex", "initech")
    keys = {slug: await world.client_with_key(slug) for slug in slugs}
    connections = {slug: (await world.mapped_connection(slug))[0] for slug in slugs}
    world.sandbox.faults.answer_with(Answer.html(502), times=50)
    for slug in slugs * 3:
        await world.http.get(f"/api/v1/connections/{connections[slug]}/jobs", headers=bearer(keys[slug]))


async def airbyte_keeps_failing(world: World) -> None:
    """For ten minutes, in which it is tried once each minute."""
    world.sandbox.faults.answer_with(Answer.html(502), times=50)
    for _ in range(10):
        with pytest.raises(UpstreamError):
            await world.services.airbyte.lists.workspaces(offset=0)
        world.clock.advance(61)


async def airbyte_fails_one_client(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(500), times=50)
    for _ in range(6):
        await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))


async def airbyte_gives_no_newer_syncs(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(502), times=50)
    world.clock.advance(60)
    await world.http.get("/api/v1/connections", headers=bearer(key))


async def airbyte_refuses_the_credential(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.services.airbyte.change_credential("sandbox-client", Secret("of yesterday"))
    await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))


async def airbyte_sends_rows_of_others(world: World) -> None:
    key = await world.client_with_key()
    (ours, theirs), (_, foreign) = await world.mapped_connection(), await world.mapped_connection()
    world.sandbox.world.add_job(theirs)
    world.sandbox.world.add_job(foreign)
    world.sandbox.faults.foreign_rows = 1
    await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))


async def airbyte_sends_odd_rows(world: World) -> None:
    body = b'{"data":[{"workspaceId":7}],"next":"","previous":""}'
    world.sandbox.faults.answer_with(Answer(200, JSON, body), when=lambda _, path: path.endswith("/workspaces"))
    await world.services.airbyte.lists.workspaces(offset=0)


async def airbyte_answers_nobody_for_long(world: World) -> None:
    """Each of ten clients waits for its jobs; who still waits when the gateway ends is told so."""

    async def wait_for_jobs(key: NewKey, ours: str, _progress: Progress) -> None:
        await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    slugs = [f"client-{number}" for number in range(10)]
    callers = [(await world.client_with_key(slug), (await world.mapped_connection(slug))[0]) for slug in slugs]
    world.sandbox.faults.get_hang = asyncio.Event()
    for key, ours in callers:
        world.services.background.start(ours, partial(wait_for_jobs, key, ours))
    async with asyncio.timeout(BOUND_SECONDS):
        while not world.services.airbyte.figures().waiting:
            await asyncio.sleep(0)


async def the_database_is_locked(world: World) -> None:
    key = await world.client_with_key()
    with other_program(world.services.settings.database_location) as other:
        other.keep_others_from_writing()
        assert (await world.http.post("/api/v1/keys/revoke", headers=bearer(key))).status_code == 503


async def more_comes_than_can_be_answered(world: World) -> None:
    """As socket connections ask about it, in one round of the event loop."""
    gate = build_gate(world.services)
    scope = {"type": "http", "method": "GET", "path": "/docs/api", "headers": [], "client": ("192.0.2.7", 1)}
    verdicts = [gate.sheds(dict(scope)) for _ in range(1000)]
    assert True in verdicts


async def the_event_loop_stands_still(world: World) -> None:
    """By its clock."""
    async with asyncio.timeout(BOUND_SECONDS):
        while float((await scraped(world))["gateway_loop_lag_seconds"]) > 1:
            await asyncio.sleep(0)
        world.clock.advance(2)
        await asyncio.sleep(0.3)


async def a_background_task_fails(world: World) -> None:
    async def work(_progress: Progress) -> None:
        raise ZeroDivisionError

    task = world.services.background.start("broken", work)
    async with asyncio.timeout(BOUND_SECONDS):
        while not task.is_failing:
            await asyncio.sleep(0)


async def a_request_meets_an_error_of_ours(world: World) -> None:
    async def broken(_request: Request) -> None:
        raise ZeroDivisionError

    world.app.router.routes.insert(0, Route("/broken", broken))
    assert (await world.http.get("/broken")).status_code == 500


async def a_proxy_is_not_trusted(world: World) -> None:
    await world.http.get("/api/v1/status", headers={"X-Forwarded-For": "192.0.2.7"})


async def nobody_sends_events(world: World) -> None:
    """For ten minutes."""
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    (delivery,) = [task for task in world.services.background.tasks if task.name == WEBHOOK_DELIVERY]
    await delivery.stop()
    new = await world.services.webhooks.endpoints.add("acme", url="https://hooks.example/")
    await world.services.webhooks.endpoints.test(new.record.id)
    world.clock.advance(600)


async def a_webhook_is_disabled(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    await world.services.webhooks.endpoints.add("acme", url="https://hooks.example/")
    with other_program(world.services.settings.database_location) as other:
        other.rows("UPDATE webhooks SET disabled_at = '2026', disabled_reason = 'gone'")


FAULTS: dict[str, Fault] = {
    "GatewayFails": a_request_meets_an_error_of_ours,
    "AirbyteFails": airbyte_fails,
    "AirbyteCallsFail": airbyte_keeps_failing,
    "AirbyteFailsOneClient": airbyte_fails_one_client,
    "AirbyteRefusesCredential": airbyte_refuses_the_credential,
    "AirbyteIsSlow": airbyte_answers_nobody_for_long,
    "LastSyncsStale": airbyte_gives_no_newer_syncs,
    "AirbyteSendsForeignRows": airbyte_sends_rows_of_others,
    "AirbyteSendsOddRows": airbyte_sends_odd_rows,
    "DatabaseFails": the_database_is_locked,
    "DatabaseWritesFail": the_database_is_locked,
    "RequestsShed": more_comes_than_can_be_answered,
    "EventLoopBlocked": the_event_loop_stands_still,
    "BackgroundTaskFails": a_background_task_fails,
    "WebhookEventsWait": nobody_sends_events,
    "WebhookDisabled": a_webhook_is_disabled,
    "ProxyIsNotTrusted": a_proxy_is_not_trusted,
}
WITH_VALKEY = {"RateLimitIsLocal"}


def promtool(*words: str, folder: Path) -> None:
    done = subprocess.run(
        [required_program("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_fires(folder: Path, alert: str, before: dict[str, str], after: dict[str, str]) -> None:
    """By Prometheus's own reading of the rule: ten minutes of `before`, then as many of `after`."""
    expression = ALERTS[alert]["expr"]
    names = set(METRIC.findall(expression))
    series = [name for name in after if name.partition("{")[0] in names]
    values = {
        name: f"{before[name]}x10 {after[name]}x10" if name in before else f"_x10 {after[name]}x10" for name in series
    }
    is_firing = f"count({expression}) > bool 0"
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in values.items()],
        "promql_expr_test": [
            {"expr": is_firing, "eval_time": "9m", "exp_samples": []},
            {"expr": is_firing, "eval_time": "15m", "exp_samples": [{"labels": "{}", "value": 1}]},
        ],
    }
    (folder / "fired.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool("test", "rules", "fired.yaml", folder=folder)


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    promtool("check", "rules", str(RULES), folder=tmp_path)


@pytest.mark.parametrize("alert", FAULTS)
async def test_an_alert_fires_for_its_trouble_and_not_before(world: World, tmp_path: Path, alert: str) -> None:
    before = await scraped(world)
    await FAULTS[alert](world)
    after = await scraped(world)

    assert_fires(tmp_path, alert, before, after)


async def test_an_alert_fires_when_valkey_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    with running_valkey(tmp_path) as server:
        async with running_gateway(folder, rate_limit={"backend": SecretUrl(server.url)}) as world:
            key = await world.client_with_key()
            await world.http.get("/api/v1/status", headers=bearer(key))
            before = await scraped(world)
            server.kill()
            await world.http.get("/api/v1/status", headers=bearer(key))
            after = await scraped(world)

    assert_fires(tmp_path, "RateLimitIsLocal", before, after)


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """A Prometheus that reads the gateway at `target` and our rules; gives what answers a query."""
    port = free_port()
    settings = {
        # Longer than a busy machine stands still.
        "global": {"scrape_interval": "3s", "evaluation_interval": "200ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "gateway", "scrape_timeout": "3s", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    options = ["--config.file=prometheus.yaml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(
        [required_program("prometheus"), *options, "--log.level=error"], cwd=folder, stdout=subprocess.DEVNULL
    )

    def ask(query: str) -> list[dict[str, Any]]:
        try:
            answer = plain_http.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query})
        except httpx2.TransportError:
            return []  # it starts
        found: list[dict[str, Any]] = answer.json()["data"]["result"] if answer.status_code == 200 else []
        return found

    try:
        yield ask
    finally:
        process.terminate()
        process.wait()


def test_prometheus_reads_a_gateway_and_tells_when_it_is_down(tmp_path: Path) -> None:
    for name in ("gateway", "prometheus"):
        (tmp_path / name).mkdir()
    with (
        sandbox_airbyte() as airbyte,
        install(tmp_path / "gateway", airbyte).serve() as served,
        prometheus(tmp_path / "prometheus", served.address.removeprefix("http://")) as ask,
    ):
        wait_until(lambda: bool(ask('up{job="gateway"} == 1')))
        version = ask("gateway_build_info")
        before = ask('ALERTS{alertname="GatewayDown"}')
        served.kill()
        wait_until(lambda: bool(ask('ALERTS{alertname="GatewayDown"}')))

    assert [each["metric"]["version"] for each in version] == [__version__]
    assert before == []


def test_every_alert_has_its_trouble() -> None:
    assert ALERTS.keys() == FAULTS.keys() | WITH_VALKEY | OF_PROMETHEUS


def queries() -> dict[str, list[str]]:
    """The dashboard's, by panel."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels}


async def test_the_dashboard_asks_only_for_what_there_is(world: World) -> None:
    """After a request of a client's, with a failing task, on a gateway whose figures have been read."""
    key = await world.client_with_key()
    await world.mapped_connection()
    world.clock.advance(60)
    await world.http.get("/api/v1/connections", headers=bearer(key))
    there = {name.partition("{")[0] for name in await scraped(world)}

    asked = {query: METRIC.findall(query) for panel in queries().values() for query in panel}

    assert len(asked) > len(queries()) > 10
    assert {query: set(names) - there for query, names in asked.items() if not there.issuperset(names)} == {}


def test_prometheus_understands_each_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:number{number}", "expr": query.replace("$instance", ".*")}
        for number, query in enumerate(query for panel in queries().values() for query in panel)
    ]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    promtool("check", "rules", "queries.yaml", folder=tmp_path)
