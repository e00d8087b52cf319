"""gateway user …"""

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, environment
from tests.notices.mail_server import Inbox, mail_server_on_a_thread
from tests.support import BOUND_SECONDS, PROGRAM

ROW = ["email", "id", "client", "role", "has_password", "created_at", "last_sign_in_at", "has_second_factor"]
ANN = "ann@acme.example"
LINK = re.compile(r"http://127\.0\.0\.1:8080/dashboard/link/[0-9A-Za-z]{43}")


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """With the client acme."""
    cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return cli


def configure_mail(cli: Cli, address: str) -> None:
    with cli.settings.open("a") as file:
        file.write(
            f'\n[notify]\nsmtp_url = "{address}"\nmail_from = "gateway@example.com"\nmail_to = ["ops@example.com"]\n'
        )


def invite(cli: Cli, email: str = ANN) -> str:
    return cli.ok("user", "invite", "--client", "acme", "--email", email).stdout.strip()


def rows(cli: Cli, table: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(cli.database)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_invite_prints_the_link_alone(cli: Cli) -> None:
    result = cli.ok("user", "invite", "--client", "acme", "--email", ANN)

    assert LINK.fullmatch(result.stdout.strip())
    assert result.stderr == f"This is for {ANN}: it sets a password, once, within 24 hours.\n"


def test_a_link_is_sent_by_mail_too(cli: Cli) -> None:
    inbox = Inbox()
    with mail_server_on_a_thread(inbox) as address:
        configure_mail(cli, address)
        link = cli.ok("user", "invite", "--client", "acme", "--email", ANN, "--mail").stdout.strip()
        again = cli.ok("user", "reset", ANN, "--mail").stdout.strip()

    assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [[ANN], [ANN]]
    assert [LINK.findall(text) for text in inbox.texts()] == [[link], [again]]


def test_a_link_that_mail_does_not_bring_is_shown_all_the_same(cli: Cli) -> None:
    configure_mail(cli, "smtp://127.0.0.1:1")

    result = cli("user", "invite", "--client", "acme", "--email", ANN, "--mail")

    assert result.exit_code == 1
    assert LINK.fullmatch(result.stdout.strip())
    assert "not sent by e-mail: the mail server cannot be reached; hand it over yourself" in result.stderr


def test_mail_needs_a_server_and_makes_nobody_without_one(cli: Cli) -> None:
    result = cli("user", "invite", "--client", "acme", "--email", ANN, "--mail")

    assert (result.exit_code, rows(cli, "users")) == (1, [])
    assert "notify.smtp_url is not set" in result.stderr


def test_a_link_that_cannot_be_shown_leads_to_another(cli: Cli) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "user", "invite", "--admin", "--email", ANN, "--settings", str(cli.settings)],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: the link cannot be shown (No space left on device); make another with: gateway user reset {ANN}\n"
    )


def test_invite_as_json_is_the_record_and_the_link(cli: Cli) -> None:
    record = cli.json("user", "invite", "--client", "acme", "--email", ANN)

    assert list(record) == [*ROW, "link"]
    assert re.fullmatch(r"user_[0-9A-Za-z]{16}", record["id"])
    assert LINK.fullmatch(record["link"])
    assert (record["client"], record["role"], record["has_password"]) == ("acme", "member", False)
    assert record["last_sign_in_at"] is None


def test_an_admin_is_of_no_client(cli: Cli) -> None:
    record = cli.json("user", "invite", "--admin", "--email", "olga@operator.example")

    assert (record["client"], record["role"]) == (None, "admin")


def test_the_link_starts_at_the_public_url(cli: Cli) -> None:
    cli.settings.write_text('[server]\npublic_url = "https://gateway.example/airbyte/"\n')

    assert invite(cli).startswith("https://gateway.example/airbyte/dashboard/link/")


def test_the_link_is_known_by_its_digest_and_lasts_a_day(cli: Cli) -> None:
    secret = invite(cli).rpartition("/")[2]

    (link,) = rows(cli, "links")
    assert link["purpose"] == "password"
    assert len(link["digest"]) == 32
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    assert secret not in "".join(cli.dump())


@pytest.mark.parametrize("options", [[], ["--client", "acme", "--admin"]])
def test_an_invitation_is_for_a_client_or_for_an_admin(cli: Cli, options: list[str]) -> None:
    result = cli("user", "invite", "--email", ANN, *options)

    assert result.exit_code == 2
    assert "give either --client or --admin" in result.stderr
    assert rows(cli, "users") == []


@pytest.mark.parametrize(
    ("slug", "email", "why"),
    [
        ("nobody", ANN, "there is no client with the slug 'nobody'"),
        ("acme", "ann", "the e-mail address must look like ann@example.com"),
        ("acme", "a b@acme.example", "the e-mail address must look like"),
        ("acme", "ANN@ACME.EXAMPLE", "there already is a user with the address ANN@ACME.EXAMPLE"),
    ],
)
def test_who_cannot_be_invited(cli: Cli, slug: str, email: str, why: str) -> None:
    invite(cli)

    assert why in cli.refusal("user", "invite", "--client", slug, "--email", email)
    assert len(rows(cli, "users")) == len(rows(cli, "links")) == 1


def test_reset_replaces_the_link_and_is_logged(cli: Cli) -> None:
    invite(cli)
    (before,) = rows(cli, "links")

    result = cli.ok("user", "reset", "Ann@Acme.Example")

    (after,) = rows(cli, "links")
    assert LINK.fullmatch(result.stdout.strip())
    assert before["digest"] != after["digest"]
    log = [(row["actor"], row["action"], row["subject"]) for row in rows(cli, "activity")]
    assert log[1:] == [("command line", "user.invite", ANN), ("command line", "user.reset", ANN)]


@pytest.mark.parametrize("command", ["reset", "remove"])
def test_nobody_has_another_address(cli: Cli, command: str) -> None:
    why = cli.refusal("user", command, "bob@acme.example")

    assert why == "there is no user with the address 'bob@acme.example'; see: gateway user list"


def test_list_has_admins_first(cli: Cli) -> None:
    invite(cli)
    cli.ok("user", "invite", "--admin", "--email", "olga@operator.example")

    listed = cli.json("user", "list")
    assert [(row["email"], row["client"], row["role"]) for row in listed] == [
        ("olga@operator.example", None, "admin"),
        (ANN, "acme", "member"),
    ]
    assert all(list(row) == ROW for row in listed)
    head, *lines = cli.ok("user", "list").stdout.splitlines()
    assert head.split()[0] == "email"
    assert [line.split()[0] for line in lines] == ["olga@operator.example", ANN]


def test_an_empty_list_says_what_to_do(cli: Cli) -> None:
    assert cli.json("user", "list") == []
    assert "No users yet; see: gateway user invite --help" in cli.ok("user", "list").output


def test_remove_asks_first(cli: Cli) -> None:
    invite(cli)

    assert cli.refusal("user", "remove", ANN, answer="n\n") == "nothing was changed"
    assert len(rows(cli, "users")) == 1

    assert cli.ok("user", "remove", ANN, answer="y\n").stdout == f"Removed {ANN}.\n"
    assert rows(cli, "users") == rows(cli, "links") == []


def test_remove_with_yes_asks_nothing(cli: Cli) -> None:
    invite(cli)

    assert cli.json("user", "remove", ANN, "--yes")["email"] == ANN
    assert rows(cli, "users") == []


def test_the_last_admin_who_can_sign_in_is_not_removed(cli: Cli) -> None:
    cli.ok("user", "invite", "--admin", "--email", "olga@operator.example")
    with closing(sqlite3.connect(cli.database)) as connection:
        connection.execute("UPDATE users SET password_hash = 'hash'")
        connection.commit()

    assert "is the last admin who can sign in" in cli.refusal("user", "remove", "olga@operator.example", "--yes")
    assert len(rows(cli, "users")) == 1


@pytest.mark.parametrize("words", [["user", "reset"], ["user", "remove", "--yes"]])
def test_an_e_mail_address_may_be_given_as_it_is_to_invite(cli: Cli, words: list[str]) -> None:
    invite(cli)

    assert cli(*words).exit_code == 2
    assert cli(*words, ANN, "--email", ANN).exit_code == 2
    cli.ok(*words, "--email", ANN)


def give_second_factor(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.database)) as connection, connection:
        connection.execute("UPDATE users SET totp_secret = 'secret', totp_since = created_at")


def test_a_lost_second_factor_is_reset_and_the_list_tells_who_has_one(cli: Cli) -> None:
    invite(cli)
    give_second_factor(cli)
    (before,) = json.loads(cli.ok("user", "list", "--json").stdout)
    assert before["has_second_factor"] is True

    result = cli.ok("user", "second-factor", "reset", ANN, "--yes")

    assert result.stdout == f"Switched off the second factor of {ANN}.\n"
    (after,) = json.loads(cli.ok("user", "list", "--json").stdout)
    assert after == {**before, "has_second_factor": False}
    (row,) = rows(cli, "users")
    assert (row["totp_secret"], row["totp_since"]) == (None, None)
    assert [entry["action"] for entry in rows(cli, "activity")][-1] == "user.second-factor-reset"


def test_resetting_a_second_factor_asks_first(cli: Cli) -> None:
    invite(cli)
    give_second_factor(cli)

    refused = cli("user", "second-factor", "reset", ANN, answer="n\n")

    assert refused.exit_code == 1
    assert f"Switch off the second factor of {ANN}? Be sure who asks for it." in refused.stderr
    assert rows(cli, "users")[0]["totp_secret"] == "secret"


def test_who_has_no_second_factor_has_none_to_reset(cli: Cli) -> None:
    invite(cli)

    result = cli("user", "second-factor", "reset", ANN, "--yes")

    assert (result.exit_code, result.stderr) == (1, f"Error: {ANN} has no second factor\n")
