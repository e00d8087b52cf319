"""A1-A4, C13-C16: no way to Airbyte, the wrong way, or a way somebody else would like us to take."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.airbyte import Deadlines
from tests.faults.conftest import (
    TIMED_OUT,
    UNREACHABLE,
    Front,
    bounded,
    front_of,
    said,
    theirs,
)
from tests.faults.fault import answer, garble
from tests.faults.fault_server import FaultServer
from tests.programs import required_program
from tests.support import HandClock

SLOW_TO_CONNECT = Deadlines(read=8.0, trigger=8.0, reconcile=8.0, token=8.0, connect=0.3)


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_a_name_nobody_knows_is_unreachable(tmp_path: Path, call: str) -> None:
    """A1."""
    async with front_of(tmp_path, base_url="http://airbyte.invalid:{port}", warm=False, auth="none") as front:
        answer_ = await bounded(front.ask(call), 5)

        assert said(answer_) == UNREACHABLE


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_a_refused_connection_is_unreachable_and_not_tried_any_more_when_known(front: Front, call: str) -> None:
    """A2: tried twice, also a trigger, of which nothing was sent."""
    await front.airbyte.stop()

    answers = [await bounded(front.ask(call), 1) for _ in range(3)]
    known = await front.ask(call)

    assert said(answers[0]) == UNREACHABLE
    assert known.status_code == 503
    await front.airbyte.start()
    await front.assert_recovered()


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_a_connect_that_hangs_times_out_twice_with_nothing_sent(tmp_path: Path, call: str) -> None:
    """A3: the accept queue of one is full, so that the kernel drops what asks to connect."""
    with socket.socket() as full, socket.socket() as queued:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queued.connect(full.getsockname())
        port = full.getsockname()[1]
        base_url = f"http://127.0.0.1:{port}"
        async with front_of(tmp_path, base_url=base_url, warm=False, deadlines=SLOW_TO_CONNECT, auth="none") as front:
            answer_ = await bounded(front.ask(call), 2 * SLOW_TO_CONNECT.connect + 0.3)

        assert said(answer_) == TIMED_OUT


def certificate(folder: Path, *options: str, days: int = 1) -> ssl.SSLContext:
    """A server's context with a certificate that its own key signed; `chain.pem` for whoever wants to trust it."""
    key, chain = folder / "key.pem", folder / "chain.pem"
    files = ["-subj", "/CN=airbyte.test", "-keyout", str(key), "-out", str(chain)]
    openssl = required_program("openssl")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, *files, *options], check=True, capture_output=True)
    if days < 0:
        aged = [openssl, "x509", "-in", str(chain), "-signkey", str(key), "-days", str(days), "-out", str(chain)]
        subprocess.run(aged, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def certificate_of_an_authority(folder: Path, *options: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate that an authority of its own signed, and the authority's file."""
    openssl = required_program("openssl")
    authority, signing = folder / "authority.pem", folder / "signing.key"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    own = ["-subj", "/CN=Our authority", "-keyout", str(signing), "-out", str(authority)]
    subprocess.run([openssl, "req", "-x509", *new_key, *own], check=True, capture_output=True)
    context = certificate(folder, *options, "-CA", str(authority), "-CAkey", str(signing))
    return context, authority


def trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process trust the `chain.pem` of `certificate`."""
    store = ssl.get_default_verify_paths()._replace(openssl_cafile=str(folder / "chain.pem"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: store)


RIGHT_NAME = ("-addext", "subjectAltName=IP:127.0.0.1")
TLS_CASES = [
    ("good", RIGHT_NAME, True, None),
    ("unknown authority", RIGHT_NAME, False, UNREACHABLE),
    ("wrong name", ("-addext", "subjectAltName=DNS:other.test"), True, UNREACHABLE),
    ("expired", RIGHT_NAME, True, UNREACHABLE),
    ("plain text", None, True, UNREACHABLE),
]


@pytest.mark.parametrize("call", ["GET", "POST"])
@pytest.mark.parametrize(
    ("options", "trusted", "expected"), [case[1:] for case in TLS_CASES], ids=[case[0] for case in TLS_CASES]
)
async def test_what_cannot_prove_to_be_airbyte_is_told_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    options: tuple[str, ...] | None,
    trusted: bool,
    expected: Any,
    call: str,
) -> None:
    """A4, C15."""
    days = -1 if "expired" in request.node.name else 1
    tls = None if options is None else certificate(tmp_path, *options, days=days)
    if tls and trusted:
        trust(tmp_path, monkeypatch)
    async with front_of(tmp_path, base_url="https://127.0.0.1:{port}", tls=tls, warm=False, auth="none") as front:
        front.airbyte.anonymous = True
        got = await bounded(front.ask(call), 5)

        if expected is None:
            assert got.status_code == 200
            return
        assert said(got) == UNREACHABLE
        assert not any(b"/jobs" in connection.received for connection in front.airbyte.connections)
        assert front.airbyte.requests == []


@pytest.mark.parametrize("is_named", [True, False])
async def test_the_operator_s_own_authority_is_believed_where_ca_file_names_it(tmp_path: Path, is_named: bool) -> None:
    tls, authority = certificate_of_an_authority(tmp_path, *RIGHT_NAME)
    ca_file = authority.name if is_named else ""
    base_url = "https://127.0.0.1:{port}"
    async with front_of(tmp_path, base_url=base_url, tls=tls, warm=False, auth="none", ca_file=ca_file) as front:
        front.airbyte.anonymous = True

        got = await bounded(front.jobs(), 5)

        assert said(got) == (200, {"data": []}) if is_named else UNREACHABLE


def of_the_last_century(context: ssl.SSLContext) -> ssl.SSLContext:
    """It speaks TLS 1.0 and nothing newer; OpenSSL must be told that this is meant."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_an_airbyte_that_speaks_only_tls_1_0_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """C15: its certificate is a good one, and whoever is content with 1.0 gets through."""
    tls = of_the_last_century(certificate(tmp_path, *RIGHT_NAME))
    trust(tmp_path, monkeypatch)
    async with front_of(tmp_path, base_url="https://127.0.0.1:{port}", tls=tls, warm=False, auth="none") as front:
        content = of_the_last_century(ssl.create_default_context(cafile=tmp_path / "chain.pem"))
        _, writer = await asyncio.open_connection("127.0.0.1", front.airbyte.port, ssl=content)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1"
        writer.close()

        got = await bounded(front.ask(call), 5)

        assert said(got) == UNREACHABLE
        assert not any(connection.received for connection in front.airbyte.connections)


@pytest.mark.parametrize(("call", "expected"), [("GET", {502}), ("POST", {200})])
async def test_a_connection_whose_encryption_breaks_is_a_fault_of_airbyte_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, expected: set[int]
) -> None:
    """The trigger's job exists and is found over a fresh connection."""
    tls = certificate(tmp_path, *RIGHT_NAME)
    trust(tmp_path, monkeypatch)
    async with front_of(tmp_path, base_url="https://127.0.0.1:{port}", tls=tls) as front:
        front.airbyte.switch({"GET": "jobs", "POST": "trigger"}[call], garble)

        got = await bounded(front.ask(call), 1)

        assert {got.status_code} == expected
        assert front.airbyte.count("trigger") == (call == "POST")
        await front.assert_recovered()


async def test_a_handshake_that_hangs_times_out_with_nothing_sent(tmp_path: Path) -> None:
    async with front_of(
        tmp_path, base_url="https://127.0.0.1:{port}", warm=False, auth="none", deadlines=SLOW_TO_CONNECT
    ) as front:
        front.airbyte.refuses_tls = False

        assert said(await bounded(front.trigger(), 1)) == TIMED_OUT


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_server_is_never_followed(front: Front, status: int) -> None:
    """C13."""
    other = FaultServer(front.clock.now)
    await other.start()
    for route in ("jobs", "trigger", "token"):
        front.airbyte.switch(route, answer(status, b"", f"Location: http://127.0.0.1:{other.port}/jobs"))

    for call in ("GET", "POST"):
        assert (await front.ask(call)).status_code in {502, 504}
    front.clock.advance(1000)
    assert (await front.jobs()).status_code == 502

    assert other.connections == []
    await other.stop()
    await front.assert_recovered()


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C14."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login planted password planted\n", encoding="ascii")
    (tmp_path / ".netrc").chmod(0o600)
    proxy = FaultServer(clock.now)
    await proxy.start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    async with front_of(tmp_path, auth="none") as front:
        front.airbyte.switch("jobs", answer(200, b'{"data":[]}'))
        assert (await front.jobs()).status_code == 200

        assert proxy.connections == []
        assert not any("authorization" in request.headers for request in front.airbyte.requests)
    await proxy.stop()


async def test_cookies_of_airbyte_s_go_to_nobody(front: Front) -> None:
    """C16."""
    other = await front.add_tenant("globex", theirs(2))
    front.airbyte.forget()
    front.airbyte.extra_fields = ("Set-Cookie: session=planted; Path=/", "Set-Cookie: b=planted; Domain=127.0.0.1")
    answers = [await front.ask("GET"), await front.ask("POST"), await front.jobs(other), await front.trigger(other)]

    assert not any("set-cookie" in answer_.headers for answer_ in answers)
    assert not any("cookie" in request.headers for request in front.airbyte.requests)
    assert len(front.airbyte.requests) == 2 * 1 + 2 * 2
