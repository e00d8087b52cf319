"""gateway client …"""

import re
import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import Cli

ROW = ["slug", "name", "plan", "rate", "created_at", "disabled_at", "rate_total", "most_keys"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def add(cli: Cli, slug: str = "acme", name: str = "Acme Inc") -> None:
    cli.ok("client", "add", "--name", name, "--slug", slug)


def fill(cli: Cli) -> None:
    """Acme with two connections and two keys; Globex with one of each."""
    for slug, names in (("acme", ("Shop", "Ads")), ("globex", ("Billing",))):
        add(cli, slug)
        for name in names:
            cli.ok("connection", "add", "--client", slug, "--connector-type", "shopify", "--label", name)
            cli.ok("key", "create", "--client", slug, "--name", name)


def test_add_says_what_it_did(cli: Cli) -> None:
    result = cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")

    assert (result.stdout, result.stderr) == ("Added client acme.\n", "")


def test_add_as_json_is_the_record(cli: Cli) -> None:
    record = cli.json("client", "add", "--name", "Acme Inc", "--slug", "acme", "--plan", "starter")

    assert list(record) == ROW
    assert TIME.fullmatch(record.pop("created_at"))
    assert record == {
        "slug": "acme",
        "name": "Acme Inc",
        "plan": "starter",
        "rate": None,
        "disabled_at": None,
        "rate_total": None,
        "most_keys": None,
    }


def test_the_plan_is_free_unless_told(cli: Cli) -> None:
    assert cli.json("client", "add", "--name", "Acme Inc", "--slug", "acme")["plan"] == "free"


def test_list_as_json_has_every_client_in_order_of_creation(cli: Cli) -> None:
    for slug in ("zebra", "acme"):
        add(cli, slug)

    rows = cli.json("client", "list")

    assert [row["slug"] for row in rows] == ["zebra", "acme"]
    assert all(list(row) == ROW for row in rows)


def test_list_is_a_table_for_people(cli: Cli) -> None:
    add(cli, "a-rather-long-slug")
    add(cli, "acme")

    head, *rows = cli.ok("client", "list").stdout.splitlines()

    assert head.split() == ROW
    assert [row.split()[0] for row in rows] == ["a-rather-long-slug", "acme"]
    assert {row[head.index("name") :].startswith("Acme Inc") for row in rows} == {True}


def test_the_table_shows_the_figures_in_force_and_which_are_the_settings(cli: Cli) -> None:
    add(cli)
    add(cli, "globex")
    cli.ok("client", "update", "globex", "--rate", "600/60")

    head, acme, globex = cli.ok("client", "list").stdout.splitlines()

    assert [row[head.index(" rate") + 1 :].split()[0] for row in (acme, globex)] == ["(100/60)", "600/60"]
    assert [row.split()[-1] for row in (acme, globex)] == ["(20)", "(20)"]


@pytest.mark.parametrize(
    ("total", "is_less"), [("60/60", True), ("100/600", True), ("100/60", False), ("6000/60", False)]
)
def test_a_rate_of_all_keys_below_that_of_one_is_told_of(cli: Cli, total: str, is_less: bool) -> None:
    add(cli)

    result = cli.ok("client", "update", "acme", "--rate-total", total)

    note = f"Note: {total} for all keys together is less than one key may call (100/60).\n"
    assert result.stderr == (note if is_less else "")


@pytest.mark.parametrize("name", ["Ünïcødé & Söhne", "Acme 🚀", 'Quote " and \\ slash', "x" * 200])
def test_a_name_may_be_any_printable_text(cli: Cli, name: str) -> None:
    assert cli.json("client", "add", "--name", name, "--slug", "acme")["name"] == name
    assert cli.json("client", "list")[0]["name"] == name


def test_a_slug_that_is_taken_is_refused(cli: Cli) -> None:
    add(cli)

    assert cli.refusal("client", "add", "--name", "Other", "--slug", "acme") == (
        "there already is a client with the slug 'acme'"
    )
    assert [row["name"] for row in cli.json("client", "list")] == ["Acme Inc"]


def test_a_bad_slug_is_refused(cli: Cli) -> None:
    for slug in ("", "Acme", "acme inc", "-acme", "acme-", "acme_inc", "äcme", "a/b", "acme\n", "x" * 64, "acme'; --"):
        assert cli.refusal("client", "add", "--name", "Acme", f"--slug={slug}").startswith("the slug must be "), slug
    assert cli.json("client", "list") == []


def test_a_good_slug_is_taken(cli: Cli) -> None:
    good = ["a", "7", "acme-inc", "a--b", "x" * 63]

    assert [cli.json("client", "add", "--name", "Acme", "--slug", slug)["slug"] for slug in good] == good


FORGING = (
    *("", " ", " Acme", "Acme ", "Ac\nme", "Ac\x1b[31mme", "Ac\tme", "Ac\u202eme", "Ac\u2028me"),
    *("Ac\x7fme", "x" * 201),
)


@pytest.mark.parametrize("option", ["--name", "--plan"])
def test_text_that_could_forge_or_hide_a_line_is_refused(cli: Cli, option: str) -> None:
    for text in FORGING:
        options = {"--name": "Acme", "--slug": "acme", "--plan": "free", option: text}

        line = cli.refusal("client", "add", *[f"{key}={value}" for key, value in options.items()])

        assert line == f"the {option[2:]} must be 1 to 200 printable characters, without space at either end", ascii(
            text
        )
    assert cli.json("client", "list") == []


def test_remove_asks_and_tells_what_would_go(cli: Cli) -> None:
    fill(cli)

    result = cli.ok("client", "remove", "acme", answer="y\n")

    assert "Remove Acme Inc, its connections (2) and its keys (2)? [y/N]" in result.stderr
    assert result.stdout == "Removed client acme.\n"


def test_remove_takes_connections_and_keys_along_and_nobody_elses(cli: Cli) -> None:
    fill(cli)
    cli.ok("client", "remove", "acme", "--yes")

    assert [row["slug"] for row in cli.json("client", "list")] == ["globex"]
    assert [row["client"] for row in cli.json("connection", "list")] == ["globex"]
    assert [row["client"] for row in cli.json("key", "list")] == ["globex"]


@pytest.mark.parametrize("answer", ["n\n", "\n", "no\n"])
def test_remove_answered_with_no_changes_nothing_and_exits_1(cli: Cli, answer: str) -> None:
    fill(cli)
    before = cli.dump()

    assert cli.refusal("client", "remove", "acme", answer=answer) == "nothing was changed"
    assert cli.dump() == before


def test_remove_without_anybody_to_ask_changes_nothing(cli: Cli) -> None:
    fill(cli)
    before = cli.dump()

    result = cli("client", "remove", "acme", answer="")

    assert result.exit_code == 1
    assert cli.dump() == before


def test_remove_as_json_is_the_record_alone(cli: Cli) -> None:
    fill(cli)

    record = cli.json("client", "remove", "acme", "--yes")

    assert list(record) == ROW
    assert record["slug"] == "acme"


def test_a_slug_is_free_again_once_its_client_is_removed(cli: Cli) -> None:
    add(cli)
    cli.ok("client", "remove", "acme", "--yes")

    add(cli)


def test_update_changes_what_it_is_told_and_leaves_the_rest(cli: Cli) -> None:
    add(cli)
    before = cli.json("client", "list")[0]

    rated = cli.json("client", "update", "acme", "--rate", "600/60")
    planned = cli.json("client", "update", "acme", "--plan", "pro")
    allowed = cli.json("client", "update", "acme", "--most-keys", "50", "--rate-total", "900/60")
    named = cli.json("client", "update", "acme", "--name", "Acme Ltd")

    assert list(rated) == ROW
    assert rated == {**before, "rate": "600/60"}
    assert planned == {**rated, "plan": "pro"}
    assert allowed == {**planned, "most_keys": 50, "rate_total": "900/60"}
    assert named == {**allowed, "name": "Acme Ltd"}
    assert cli.json("client", "list") == [named]


@pytest.mark.parametrize(("option", "own"), [("rate", "600/60"), ("rate-total", "6000/60"), ("most-keys", "50")])
def test_update_to_the_default_takes_the_client_s_own_away(cli: Cli, option: str, own: str) -> None:
    add(cli)
    cli.ok("client", "update", "acme", f"--{option}", own)

    assert cli.json("client", "update", "acme", f"--{option}", "default")[option.replace("-", "_")] is None


def test_update_says_what_it_did(cli: Cli) -> None:
    add(cli)

    assert cli.ok("client", "update", "acme", "--plan", "pro").stdout == "Updated client acme.\n"


def test_update_of_nothing_is_a_usage_error(cli: Cli) -> None:
    add(cli)

    result = cli("client", "update", "acme")

    assert result.exit_code == 2
    assert "tell at least one of --name, --plan, --rate, --rate-total and --most-keys" in result.stderr


@pytest.mark.parametrize("options", [["--rate", "fast"], ["--rate", "0/60"], ["--name", ""], ["--plan", "a\tb"]])
def test_a_refused_update_changes_nothing(cli: Cli, options: list[str]) -> None:
    add(cli)
    before = cli.dump()

    cli.refusal("client", "update", "acme", "--plan", "pro", *options)

    assert cli.dump() == before


def test_disable_asks_and_enable_does_not(cli: Cli) -> None:
    add(cli)

    result = cli.ok("client", "disable", "acme", answer="y\n")
    assert "Refuse all keys of Acme Inc? [y/N]" in result.stderr
    assert result.stdout == "Disabled client acme.\n"
    assert TIME.fullmatch(cli.json("client", "list")[0]["disabled_at"])

    assert cli.ok("client", "enable", "acme").stdout == "Enabled client acme.\n"
    assert cli.json("client", "list")[0]["disabled_at"] is None


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_disable_not_answered_with_yes_changes_nothing(cli: Cli, answer: str) -> None:
    add(cli)
    before = cli.dump()

    assert cli("client", "disable", "acme", answer=answer).exit_code == 1
    assert cli.dump() == before


def test_disable_and_enable_as_json_are_the_record(cli: Cli) -> None:
    add(cli)

    disabled = cli.json("client", "disable", "acme", "--yes")
    again = cli.json("client", "disable", "acme", "--yes")
    enabled = cli.json("client", "enable", "acme")

    assert list(disabled) == list(enabled) == ROW
    assert TIME.fullmatch(disabled["disabled_at"])
    assert again == disabled
    assert enabled == {**disabled, "disabled_at": None}


@pytest.mark.parametrize("words", [["update", "--plan", "pro"], ["disable"], ["enable"], ["remove"]])
def test_every_command_refuses_an_unknown_slug_before_it_asks(cli: Cli, words: list[str]) -> None:
    line = cli.refusal("client", words[0], "nobody", *words[1:])

    assert line == "there is no client with the slug 'nobody'; see: gateway client list"


@pytest.mark.parametrize("command", ["update", "disable", "enable"])
def test_the_help_has_an_example(cli: Cli, command: str) -> None:
    assert f"Example: gateway client {command} acme" in cli.ok("client", command, "--help").stdout


def test_what_commands_do_is_in_the_activity_log(cli: Cli) -> None:
    add(cli)
    cli.ok("client", "update", "acme", "--plan", "pro")
    cli.ok("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop")
    cli.ok("connection", "remove", cli.json("connection", "list")[0]["id"], "--yes")
    cli.ok("client", "disable", "acme", "--yes")
    cli.ok("client", "enable", "acme")
    cli.ok("client", "remove", "acme", "--yes")

    with closing(sqlite3.connect(cli.database)) as connection:
        entries = connection.execute("SELECT actor, action FROM activity ORDER BY number").fetchall()
    assert [action for _, action in entries] == [
        "client.create",
        "client.update",
        "connection.create",
        "connection.remove",
        "client.disable",
        "client.enable",
        "client.remove",
    ]
    assert {actor for actor, _ in entries} == {"command line"}


def test_rename_gives_another_slug(cli: Cli) -> None:
    fill(cli)

    result = cli.ok("client", "rename", "acme", "acme-inc")

    assert result.stdout == "Renamed client acme to acme-inc.\n"
    assert {row["client"] for row in cli.json("key", "list")} == {"acme-inc", "globex"}
    assert cli.refusal("client", "rename", "acme-inc", "globex") == "there already is a client with the slug 'globex'"
