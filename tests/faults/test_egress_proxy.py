"""The proxy that the settings name leads to Airbyte; where it does not, nothing of a request was sent."""

import base64
from pathlib import Path

import pytest

from gateway.settings.secret import SecretUrl
from tests.airbyte.proxy import proxy_running
from tests.faults.conftest import UNREACHABLE, bounded, front_of, said
from tests.faults.test_upstream_connect import RIGHT_NAME, certificate_of_an_authority

USER = "proxy-user"
PASSWORD = "s3cret of the proxy"
AUTHORIZATION = "Proxy-Authorization: Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
NO_SUCH_PROXY = "http://127.0.0.1:1"
REFUSALS = {
    "wants a password": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    "forbids": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden",
    "is none": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "speaks first for the host": b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "ends at once": b"HTTP/1.1",
}


def with_password(url: str) -> SecretUrl:
    return SecretUrl(url.replace("://", f"://{USER}:{PASSWORD.replace(' ', '%20')}@"))


async def test_a_tunnel_leads_to_an_airbyte_with_tls_and_sees_no_request(tmp_path: Path) -> None:
    tls, authority = certificate_of_an_authority(tmp_path, *RIGHT_NAME)
    base_url = "https://127.0.0.1:{port}"
    async with (
        proxy_running() as proxy,
        front_of(tmp_path, base_url=base_url, tls=tls, ca_file=authority.name, proxy=with_password(proxy.url)) as front,
    ):
        got = await bounded(front.trigger(), 5)

        assert got.status_code == 200
        host = f"127.0.0.1:{front.airbyte.port}"
        assert set(proxy.heads) == {f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{AUTHORIZATION}\r\n\r\n"}
        assert not any("proxy-authorization" in request.headers for request in front.airbyte.requests)


async def test_plain_http_is_asked_for_in_absolute_form(tmp_path: Path) -> None:
    async with proxy_running() as proxy, front_of(tmp_path, warm=False, proxy=with_password(proxy.url)) as front:
        got = await bounded(front.jobs(), 5)

        assert got.status_code == 200
        lines = proxy.heads[0].split("\r\n")
        assert lines[0].split()[1].startswith(f"http://127.0.0.1:{front.airbyte.port}/api/public/v1/")
        assert f"Host: 127.0.0.1:{front.airbyte.port}" in lines
        assert AUTHORIZATION in lines


@pytest.mark.parametrize("call", ["GET", "POST"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_proxy_that_does_not_lead_there_is_told_nothing_but_the_host(
    tmp_path: Path, refusal: bytes, call: str
) -> None:
    tls, authority = certificate_of_an_authority(tmp_path, *RIGHT_NAME)
    options = {"base_url": "https://127.0.0.1:{port}", "tls": tls, "auth": "none", "warm": False}
    async with (
        proxy_running(refusal) as proxy,
        front_of(tmp_path, **options, ca_file=authority.name, proxy=SecretUrl(proxy.url)) as front,  # type: ignore[arg-type]
    ):
        got = await bounded(front.ask(call), 5)

        assert said(got) == UNREACHABLE
        assert all(head.startswith("CONNECT ") for head in proxy.heads)
        assert front.airbyte.connections == []


async def test_a_proxy_that_wants_a_password_for_plain_http_is_not_taken_for_airbyte(tmp_path: Path) -> None:
    async with (
        proxy_running(REFUSALS["wants a password"]) as proxy,
        front_of(tmp_path, warm=False, auth="none", proxy=SecretUrl(proxy.url)) as front,
    ):
        assert said(await bounded(front.trigger(), 5)) == UNREACHABLE


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_a_proxy_that_is_not_there_is_no_reason_to_go_straight(tmp_path: Path, call: str) -> None:
    async with front_of(tmp_path, warm=False, auth="none", proxy=SecretUrl(NO_SUCH_PROXY)) as front:
        assert said(await bounded(front.ask(call), 5)) == UNREACHABLE
        assert front.airbyte.connections == []


async def test_no_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NO_SUCH_PROXY)
    async with front_of(tmp_path) as front:
        assert (await bounded(front.jobs(), 5)).status_code == 200
