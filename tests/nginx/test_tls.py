"""Encryption: what is served without it, under other names, and to whom with client certificates."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.deployment.nginx import NGINX_OWN, Tls
from tests.faults.wire import Recorder, Running, request, talk
from tests.nginx.support import SERVER_NAME, Nginx, connect, converse, only, running_nginx, self_signed, trusting

CLOSE = "Connection: close"
GET = request("/first", CLOSE)
CHALLENGE = "/.well-known/acme-challenge"


@pytest.fixture(scope="module")
def webroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webroot")
    (folder / CHALLENGE[1:]).mkdir(parents=True)
    (folder / CHALLENGE[1:] / "token").write_text("proof")
    return folder


@pytest.fixture(scope="module")
def nginx(server: Running, tls: Tls, webroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    port = server.address[1]
    with running_nginx(
        folder, port, tls=tls, edit=lambda text: text.replace("/var/www/letsencrypt;", f"{webroot};")
    ) as running:
        yield running


def test_the_gateway_is_served_and_told_that_it_is_over_https(nginx: Nginx, tls: Tls, recorder: Recorder) -> None:
    recorder.scopes.clear()

    answer = only(converse(connect(nginx, trusting(tls)), GET))

    assert answer.status == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert recorder.scopes[0]["scheme"] == "https"


def test_the_gateways_own_headers_are_not_replaced(nginx: Nginx, tls: Tls) -> None:
    """What it refuses keeps its own words and the directives that come with them."""
    answer = only(converse(connect(nginx, trusting(tls)), request("/", "X: " + "x" * 17000, CLOSE)))

    assert (answer.status, answer.message) == (431, "Request headers are too large")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("host", [SERVER_NAME, "evil"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_encryption_nothing_is_served_and_nobody_redirected(nginx: Nginx, host: str, method: str) -> None:
    sent = f"{method} /api/v1/status HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    answer = only(talk(nginx.plain_address, sent.encode()))

    assert (answer.status, answer.message) == (403, "Use https")
    assert "location" not in answer.headers
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("host", [SERVER_NAME, "evil"])
def test_plain_http_where_tls_is_spoken_is_told_so(nginx: Nginx, host: str) -> None:
    sent = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"

    answer = only(talk(nginx.address, sent.encode()))

    assert (answer.status, answer.message) == (400, "Use https")


def test_no_certificate_is_shown_under_another_name(nginx: Nginx, tls: Tls) -> None:
    context = trusting(tls)
    for name in ("evil.example", "gateway.example.com"):
        with (
            connect(nginx) as connection,
            pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"),
            context.wrap_socket(connection, server_hostname=name),
        ):
            pass


@pytest.mark.parametrize(
    ("version", "is_good"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_only_versions_of_this_decade_are_spoken(
    nginx: Nginx, tls: Tls, version: ssl.TLSVersion, is_good: bool
) -> None:
    context = trusting(tls)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    if is_good:
        assert only(converse(connect(nginx, context), GET)).status == 200
    else:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            connect(nginx, context)


def test_a_certificate_can_be_had_without_encryption(nginx: Nginx) -> None:
    found = only(talk(nginx.plain_address, request(f"{CHALLENGE}/token", CLOSE)))
    missing = only(talk(nginx.plain_address, request(f"{CHALLENGE}/other", CLOSE)))
    folder = only(talk(nginx.plain_address, request(CHALLENGE, CLOSE)))

    assert (found.status, found.body, found.headers["content-type"]) == (200, b"proof", "text/plain")
    assert (missing.status, missing.message) == (404, "Not found")
    assert (folder.status, folder.message) == (403, "Use https")


def test_client_certificates_if_an_operator_asks_for_them(server: Running, tls: Tls, tmp_path: Path) -> None:
    """495 and 496 of nginx's numbers."""
    asked = f"ssl_client_certificate {tls.certificate}; ssl_verify_client on;\n    ssl_certificate {tls.certificate};"
    with running_nginx(
        tmp_path,
        server.address[1],
        tls=tls,
        edit=lambda text: text.replace(f"ssl_certificate {tls.certificate};", asked),
    ) as nginx:
        none = only(converse(connect(nginx, trusting(tls)), GET))
        with_certificate = trusting(tls)
        with_certificate.load_cert_chain(*tls)
        good = only(converse(connect(nginx, with_certificate), GET))
        with_another = trusting(tls)
        with_another.load_cert_chain(*self_signed(tmp_path, "somebody"))
        bad = only(converse(connect(nginx, with_another), GET))

    assert (none.status, none.message) == (400, NGINX_OWN[496])
    assert good.status == 200
    assert (bad.status, bad.message) == (400, NGINX_OWN[495])
