"""Mail through a real server: with STARTTLS, with TLS from the start, and what is told of each failure."""

import asyncio
import ssl
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.airbyte.tls import verifying_tls
from gateway.models import Notice
from gateway.notices.channels import MailChannel
from gateway.notices.mail import Mailer
from gateway.notices.mail_not_sent import MailNotSent, MessageRefused
from gateway.notices.timings import MailTimings
from gateway.settings.brand import Brand, CurrentBrand
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


def mailer(
    url: str, tls: Callable[[], ssl.SSLContext] = verifying_tls, *, seconds: float = BOUND_SECONDS, end: float = 5.0
) -> Mailer:
    timings = MailTimings(message=seconds, quit=end)
    return Mailer(SecretUrl(url), "gateway@example.com", tls, HandClock(), timings)


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
        with pytest.raises(MessageRefused) as raised:
            await mailer(f"smtp://{HOST}:{port}").send(["a@example.com"], "Subject", "Text")

    assert str(raised.value) == "the mail server answered 554"


@pytest.mark.parametrize("address", ["a-b+@[", ":,;<a>@b:c", "a,b@example.com", '"a b"@example.com'])
async def test_an_address_that_no_header_can_have_is_told(address: str) -> None:
    with pytest.raises(MailNotSent, match="no mail can be sent to such an address"):
        await mailer(f"smtp://{HOST}:1").send([address], "Subject", "Text")


async def test_a_message_that_was_taken_is_sent_whatever_the_server_does_at_the_end() -> None:
    inbox = Inbox()
    inbox.silent_end = asyncio.Event()
    async with mail_server(inbox) as port:
        assert await mailer(f"smtp://{HOST}:{port}", end=0.01).send(["a@example.com"], "Subject", "Text") == 0
        inbox.silent_end.set()

    assert len(inbox.envelopes) == 1


async def test_who_does_not_get_a_notice_that_others_got_is_told() -> None:
    inbox = Inbox()
    inbox.nobody = "b@example.com"
    notice = Notice("backup_old", "Old.", "2026-04-01T03:00:00.000Z")
    async with mail_server(inbox) as port:
        mail = mailer(f"smtp://{HOST}:{port}")
        channel = MailChannel(mail, ["a@example.com", "b@example.com"], "https://gw.example", CurrentBrand(Brand()))
        assert await channel.tell(notice) == "the mail server refuses 1 of 2 recipients"
        with pytest.raises(MailNotSent, match="takes none of the recipients"):
            await mail.send(["b@example.com"], "Subject", "Text")

    assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [["a@example.com"]]


async def test_a_server_that_is_silent_or_down_is_told() -> None:
    async with canned(SILENCE) as address:
        with pytest.raises(MailNotSent) as silent:
            await mailer(f"smtp://{address}", seconds=0.2).send(["a@example.com"], "Subject", "Text")
    with pytest.raises(MailNotSent) as down:
        await mailer(f"smtp://{address}").send(["a@example.com"], "Subject", "Text")

    assert str(silent.value) == "the mail server did not answer within 0.2 seconds"
    assert str(down.value) == "the mail server cannot be reached"
