"""gateway activity."""

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def busy(cli: Cli) -> Cli:
    """Two clients; one of them has been removed."""
    for slug in ("acme", "globex"):
        cli.ok("client", "add", "--name", slug.title(), "--slug", slug)
    cli.ok("client", "remove", "globex", "--yes")
    return cli


def test_tells_who_did_what_newest_first(busy: Cli) -> None:
    rows = busy.json("activity")

    assert [(row["action"], row["client"], row["subject"]) for row in rows] == [
        ("client.remove", None, "Globex (globex)"),
        ("client.create", None, "Globex (globex)"),
        ("client.create", "acme", "Acme (acme)"),
    ]
    assert list(rows[0]) == ["at", "client", "actor", "action", "subject", "address", "request_id"]


def test_tells_of_one_client_and_no_more_than_asked_for(busy: Cli) -> None:
    busy.ok("client", "update", "acme", "--plan", "pro")

    assert [row["action"] for row in busy.json("activity", "--client", "acme")] == ["client.update", "client.create"]
    assert [row["action"] for row in busy.json("activity", "--limit", "1")] == ["client.update"]
    assert "nobody" in busy.refusal("activity", "--client", "nobody")


def test_before_anything_was_done_it_says_so(cli: Cli) -> None:
    assert cli.ok("activity").stderr == "Nothing was done yet.\n"
