"""gateway webhook …"""

import sqlite3
from contextlib import closing
from functools import partial

import pytest
from standardwebhooks.webhooks import Webhook

from gateway.cli import options
from gateway.services import Timings, build_services
from gateway.webhooks.timings import WebhookTimings
from tests.cli.conftest import Cli
from tests.support import START

URL = "https://hooks.example/secret-path"
ROW = [
    "id",
    "client",
    "url",
    "events",
    "connections",
    "created_at",
    "last_success_at",
    "failing_since",
    "overflowed_at",
    "disabled_at",
    "disabled_reason",
]
ANSWERED = """
    CREATE TRIGGER answered AFTER INSERT ON deliveries BEGIN
        UPDATE deliveries SET attempts = 1, next_at = NULL, status = {status}, outcome = {outcome}, error = ''
        WHERE number = new.number;
    END
    """
"""As if a gateway sent each event at once."""


@pytest.fixture
def acme(cli: Cli) -> Cli:
    """A command line with one client."""
    cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return cli


def adding(*more: str, url: str = URL) -> list[str]:
    return ["webhook", "add", "--client", "acme", "--url", url, *more]


def test_a_new_webhook_prints_its_secret_alone(acme: Cli) -> None:
    result = acme.ok(*adding())

    assert Webhook(result.stdout.strip()).sign("evt_1", START, "{}")
    (row,) = acme.json("webhook", "list")
    assert row["id"] in result.stderr
    assert result.stdout.strip() not in acme.ok("webhook", "list", "--json").output


def test_json_has_the_id_and_the_secret(acme: Cli) -> None:
    connection = acme.json("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop")
    chosen = ["--event", "sync.failed", "--event", "sync.started", "--connection", connection["id"]]
    new = acme.json(*adding(*chosen))

    assert list(new) == ["id", "secret", *ROW[1:]]
    assert (new["events"], new["connections"]) == (["sync.started", "sync.failed"], [connection["id"]])
    assert acme.json("webhook", "list", "--client", "acme") == [{key: new[key] for key in ROW}]


def test_what_a_webhook_cannot_be_is_refused(acme: Cli) -> None:
    for url, words in (("http://hooks.example/", "https://"), ("https://127.0.0.1/x", "public address")):
        assert words in acme.refusal(*adding(url=url))
    assert "conn_none" in acme.refusal(*adding("--connection", "conn_none"))
    assert "no client" in acme.refusal("webhook", "add", "--client", "nobody", "--url", URL)
    assert acme("webhook", "add", "--client", "acme", "--url", URL, "--event", "nothing").exit_code == 2
    assert acme.json("webhook", "list") == []


def test_a_webhook_is_changed_and_what_is_not_told_stays(acme: Cli) -> None:
    connection = acme.json("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop")
    new = acme.json(*adding("--event", "sync.failed", "--connection", connection["id"]))
    same = {key: new[key] for key in ROW}
    updating = ["webhook", "update", new["id"]]

    assert acme.json(*updating, "--url", "https://new.example/") == {**same, "url": "https://new.example/"}
    changed = acme.json(*updating, "--all-events", "--all-connections")
    assert (changed["events"], changed["connections"]) == ([], [])
    back = acme.json(*updating, "--url", URL, "--event", "sync.failed", "--connection", connection["id"])
    assert [back] == acme.json("webhook", "list") == [same]
    assert "public address" in acme.refusal(*updating, "--url", "https://127.0.0.1/")
    assert "conn_none" in acme.refusal(*updating, "--connection", "conn_none")
    assert "whk_none" in acme.refusal("webhook", "update", "whk_none", "--url", URL)
    for wrong in ([], ["--event", "sync.failed", "--all-events"], ["--connection", "x", "--all-connections"]):
        assert acme(*updating, *wrong).exit_code == 2
    actions = [entry["action"] for entry in acme.json("activity") if entry["action"].startswith("webhook.")]
    assert actions == ["webhook.update"] * 3 + ["webhook.create"]


def test_a_rotated_webhook_has_a_new_secret(acme: Cli) -> None:
    new = acme.json(*adding())
    rotated = acme.json("webhook", "rotate", new["id"])

    assert rotated["id"] == new["id"]
    assert rotated["secret"] != new["secret"]


def test_a_removed_webhook_is_gone_and_what_was_done_is_told_without_its_path(acme: Cli) -> None:
    new = acme.json(*adding())
    acme.ok("webhook", "enable", new["id"])

    assert acme("webhook", "remove", new["id"], answer="n\n").exit_code == 1
    acme.ok("webhook", "remove", new["id"], "--yes")

    assert "whk_" in acme.refusal("webhook", "rotate", new["id"])
    entries = [entry for entry in acme.json("activity") if entry["action"].startswith("webhook.")]
    assert [entry["action"] for entry in entries] == ["webhook.remove", "webhook.create"]
    assert {entry["subject"] for entry in entries} == {f"hooks.example ({new['id']})"}


def test_a_test_without_a_gateway_is_queued(acme: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = partial(build_services, timings=Timings(webhooks=WebhookTimings(test=0.0)))
    monkeypatch.setattr(options, "build_services", impatient)
    new = acme.json(*adding())

    refusal = acme.refusal("webhook", "test", new["id"])
    assert "no gateway runs (gateway serve), or the receiver is slow" in refusal
    assert refusal.rstrip().endswith(f"gateway webhook deliveries {new['id']}")


def test_deliveries_are_listed_newest_first_and_each_can_be_sent_again(acme: Cli) -> None:
    new = acme.json(*adding())
    with closing(sqlite3.connect(acme.database)) as database, database:
        database.execute(ANSWERED.format(status=200, outcome="'delivered'"))
    for name in ("first", "second", "third"):
        acme.ok("key", "create", "--client", "acme", "--name", name)
    with closing(sqlite3.connect(acme.database)) as database, database:
        database.execute("UPDATE deliveries SET excerpt = 'ok' || char(27) || '[2J'")

    third, second, first = acme.json("webhook", "deliveries", new["id"])
    assert (third["event"], third["outcome"], third["status"], third["answer"]) == (
        "key.created",
        "delivered",
        200,
        "ok\x1b[2J",
    )
    assert acme.json("webhook", "deliveries", new["id"], "--before", str(third["number"]), "--limit", "1") == [second]
    assert "\x1b" not in acme.ok("webhook", "deliveries", new["id"]).stdout

    acme.ok("webhook", "send-again", new["id"], first["event_id"])
    assert acme.json("webhook", "deliveries", new["id"])[0]["event_id"] == first["event_id"]
    assert "cannot be sent again" in acme.refusal("webhook", "send-again", new["id"], "evt_none")
    assert "whk_none" in acme.refusal("webhook", "deliveries", "whk_none")


@pytest.mark.parametrize(
    ("status", "outcome", "words"), [(200, "delivered", "took the test"), (500, None, "did not take")]
)
def test_a_test_tells_what_the_receiver_answered(acme: Cli, status: int, outcome: str | None, words: str) -> None:
    new = acme.json(*adding())
    with closing(sqlite3.connect(acme.database)) as database, database:
        database.execute(ANSWERED.format(status=status, outcome=f"'{outcome}'" if outcome else "NULL"))

    result = acme("webhook", "test", new["id"])

    assert words in result.output
    assert result.exit_code == (0 if outcome else 1)
