"""gateway notice …"""

from tests.cli.conftest import Cli
from tests.cli.test_user import configure_mail
from tests.notices.mail_server import Inbox, mail_server_on_a_thread


def test_a_test_arrives(cli: Cli) -> None:
    inbox = Inbox()
    with mail_server_on_a_thread(inbox) as address:
        configure_mail(cli, address)
        assert cli.json("notice", "test") == [{"channel": "mail", "problem": None}]

    (envelope,) = inbox.envelopes
    assert envelope.rcpt_tos == ["ops@example.com"]


def test_a_test_that_does_not_arrive_is_told(cli: Cli) -> None:
    configure_mail(cli, "smtp://127.0.0.1:1")

    result = cli("notice", "test")

    assert result.exit_code == 1
    assert "the mail server cannot be reached" in result.stdout


def test_without_a_channel_there_is_nothing_to_try(cli: Cli) -> None:
    assert cli.ok("notice", "test").stderr == "Nothing is set in [notify].\n"
