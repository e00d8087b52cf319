"""Mail through a real server: with STARTTLS, with TLS from the start, and what is told of each failure."""

import ssl
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.airbyte.tls import verifying_tls
from gateway.notices.mail import Mailer
from gateway.notices.mail_not_sent import MailNotSent
from gateway.settings.secret import SecretUrl
from tests.doctor.canned import SILENCE, canned
from tests.faults.test_upstream_connect import certificate
from tests.notices.mail_server import HOST, PASSWORD, Inbox, mail_server
from tests.support import BOUND_SECONDS, HandClock

NAMED = ("-addext", "subjectAltName=DNS:localhost.example,IP:127.0.0.2")


@pytest.fixture
def trusted(tmp_path: Path) -> Callable[[], ssl.SSLContext]:
    return lambda: verifying_tls(tmp_path / "chain.pem")


@pytest.fixture
def no_local_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server's address taken for another machine's, of which TLS is demanded."""
    monkeypatch.setattr("gateway.notices.smtp.is_this_machine", lambda _host: False)


def mailer(url: str, tls: Callable[[], ssl.SSLContext] = verifying_tls, *, seconds: float = BOUND_SECONDS) -> Mailer:
    return Mailer(SecretUrl(url), "gateway@example.com", tls, HandClock(), seconds=seconds)


def signed_in(scheme: str, port: int, *, password: str = quote(PASSWORD)) -> str:
    return f"{scheme}://gateway%40example.com:{password}@{HOST}:{port}"


async def test_a_message_arrives_by_starttls_and_says_that_no_one_wrote_it(
    tmp_path: Path, trusted: Callable[[], ssl.SSLContext], no_local_rule: None
) -> None:
    inbox = Inbox()
    async with mail_server(inbox, starttls=certificate(tmp_path, *NAMED)) as port:
        await mailer(signed_in("smtp", port), trusted).send(["a@example.com", "b@example.com"], "Zürich", "It fails.\n")

    (envelope,) = inbox.envelopes
    message = message_from_bytes(envelope.original_content or b"", policy=default)
    assert inbox.was_tls == [True]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("gateway@example.com", ["a@example.com", "b@example.com"])
    assert (message["Subject"], message["Auto-Submitted"]) == ("Zürich", "auto-generated")
    assert message["Date"]
    assert message["Message-ID"].endswith("@example.com>")
    assert message.get_content().splitlines() == ["It fails."]


async def test_a_message_arrives_by_tls_from_the_start(tmp_path: Path, trusted: Callable[[], ssl.SSLContext]) -> None:
    inbox = Inbox()
    async with mail_server(inbox, tls=certificate(tmp_path, *NAMED)) as port:
        await mailer(f"smtps://{HOST}:{port}", trusted).send(["a@example.com"], "Subject", "Text")

    assert len(inbox.envelopes) == 1


async def test_nothing_goes_out_in_the_clear_to_another_machine(no_local_rule: None) -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        with pytest.raises(MailNotSent):
            await mailer(f"smtp://{HOST}:{port}").send(["a@example.com"], "Subject", "Text")

    assert inbox.envelopes == []


async def test_this_machine_s_own_server_needs_no_tls() -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        await mailer(f"smtp://{HOST}:{port}").send(["a@example.com"], "Subject", "Text")

    assert inbox.was_tls == [False]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path: Path, scheme: str, no_local_rule: None) -> None:
    inbox = Inbox()
    context = certificate(tmp_path, *NAMED)
    given = {"starttls" if scheme == "smtp" else "tls": context}
    async with mail_server(inbox, **given) as port:
        with pytest.raises(MailNotSent) as raised:
            await mailer(f"{scheme}://{HOST}:{port}").send(["a@example.com"], "Subject", "Text")

    assert str(raised.value) == "the mail server's certificate cannot be trusted"
    assert inbox.envelopes == []


async def test_a_wrong_password_is_told_without_it(
    tmp_path: Path, trusted: Callable[[], ssl.SSLContext], no_local_rule: None
) -> None:
    async with mail_server(Inbox(), starttls=certificate(tmp_path, *NAMED)) as port:
        with pytest.raises(MailNotSent) as raised:
            await mailer(signed_in("smtp", port, password="hunter2"), trusted).send(["a@example.com"], "S", "T")

    assert str(raised.value) == "the mail server answered 535"


async def test_what_the_server_says_is_not_repeated() -> None:
    inbox = Inbox()
    inbox.refused = "554 no message from s3cret"
    async with mail_server(inbox) as port:
        with pytest.raises(MailNotSent) as raised:
            await mailer(f"smtp://{HOST}:{port}").send(["a@example.com"], "Subject", "Text")

    assert str(raised.value) == "the mail server answered 554"


async def test_a_server_that_is_silent_or_down_is_told() -> None:
    async with canned(SILENCE) as address:
        with pytest.raises(MailNotSent) as silent:
            await mailer(f"smtp://{address}", seconds=0.2).send(["a@example.com"], "Subject", "Text")
    with pytest.raises(MailNotSent) as down:
        await mailer(f"smtp://{address}").send(["a@example.com"], "Subject", "Text")

    assert str(silent.value) == "the mail server did not answer within 0.2 seconds"
    assert str(down.value) == "the mail server cannot be reached"
