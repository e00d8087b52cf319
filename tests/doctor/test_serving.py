"""The gateway as callers meet it: at its own port, at its public address, through proxies."""

from pathlib import Path

import pytest

from gateway.doctor import Finding, run_checks
from gateway.errors import Unauthorized
from tests.doctor.canned import canned, page
from tests.faults.test_upstream_connect import RIGHT_NAME, certificate, trust
from tests.support import running_gateway

OURS = page(401, f'{{"error":"{Unauthorized.message}"}}', content_type="application/json")
HEALTHY = page(200, '{"status":"ok"}', content_type="application/json")
UNKNOWN_ROUTE = "/api/v1/doctor"


async def found(
    folder: Path, public_url: str = "", *, port: int = 1, is_serving: bool = False, socket_address: str = ""
) -> dict[str, list[Finding]]:
    """Before anything is asked of Airbyte."""
    findings: dict[str, list[Finding]] = {}
    server = {"public_url": public_url, "port": port}
    async with running_gateway(folder, server=server) as world:
        async for finding in run_checks(world.services, is_serving=is_serving, socket_address=socket_address):
            findings.setdefault(finding.check, []).append(finding)
    return findings


async def test_a_gateway_that_does_not_run_is_no_failure(tmp_path: Path) -> None:
    findings = await found(tmp_path)

    assert findings["gateway"] == [Finding("gateway", "ok", "does not run at http://127.0.0.1:1")]
    assert "forwarding" not in findings


@pytest.mark.parametrize(("port", "number"), [(8080, 1), (1, 0)])
async def test_a_socket_that_listens_elsewhere_than_the_settings_say_is_told(
    tmp_path: Path, port: int, number: int
) -> None:
    findings = await found(tmp_path, socket_address=f"127.0.0.1:{port}")

    warnings = [finding for finding in findings["gateway"] if finding.level == "warn"]
    assert [finding.text for finding in warnings] == [
        "gateway.socket listens at 127.0.0.1:8080, the settings say 127.0.0.1:1"
    ] * number
    assert all(finding.advice.startswith("To move it: gateway install --systemd") for finding in warnings)


async def test_something_else_at_the_port_is_told(tmp_path: Path) -> None:
    async with canned(page(404)) as address:
        (finding,) = (await found(tmp_path, port=int(address.rpartition(":")[2])))["gateway"]

    assert (finding.level, finding.text) == ("warn", f"something else answers at http://{address} (404)")


METRICS = "# TYPE gateway_forwarded_untrusted_total counter\ngateway_forwarded_untrusted_total {}\n"


@pytest.mark.parametrize(
    ("metrics", "level", "text"),
    [
        (page(200, METRICS.format("0.0")), "ok", "no request came through a proxy that is not trusted"),
        (page(200, METRICS.format("3.0")), "warn", "3 requests came with X-Forwarded-For"),
        (page(200, METRICS.format("1e+06")), "warn", "1000000 requests came"),
        (page(404), "ok", "not known: /metrics answers 404"),
    ],
)
async def test_the_running_gateway_is_asked_who_forwards(tmp_path: Path, metrics: bytes, level: str, text: str) -> None:
    async with canned({"/healthz": HEALTHY, "/metrics": metrics}) as address:
        findings = await found(tmp_path, port=int(address.rpartition(":")[2]))

    assert findings["gateway"][0].text == f"runs at http://{address}"
    (finding,) = findings["forwarding"]
    assert (finding.level, text in finding.text) == (level, True), finding


@pytest.mark.parametrize(
    ("answer", "level", "text", "advice"),
    [
        (OURS, "ok", "leads to a gateway", ""),
        (page(404), "fail", "shows a web page (404)", "pass /api/v1 on to http://127.0.0.1:1"),
        (page(401), "fail", "shows a web page (401)", "pass /api/v1 on"),
        (page(200, "{}", content_type="application/json"), "fail", "shows something else (200)", "pass /api/v1 on"),
        (page(502), "fail", "answers 502: the proxy there does not reach the gateway", "http://127.0.0.1:1"),
        (
            page(301, "", "Location: https://gateway.example/api/v1/doctor"),
            "fail",
            "redirects to https://gateway.example/api/v1/doctor",
            "write the address it leads to into server.public_url",
        ),
        (b"", "fail", "breaks the connection off", "Find out what listens"),
    ],
    ids=["ours", "web page", "sign-in", "other JSON", "bad gateway", "redirect", "nothing"],
)
async def test_what_answers_at_the_public_address_is_recognised(
    tmp_path: Path, answer: bytes, level: str, text: str, advice: str
) -> None:
    heard: list[str] = []
    async with canned({f"/base{UNKNOWN_ROUTE}": answer}, heard=heard) as address:
        (finding,) = (await found(tmp_path, f"http://{address}/base/", is_serving=True))["public url"]

    assert (finding.level, text in finding.text, advice in finding.advice) == (level, True, True), finding
    assert not any("authorization" in head.lower() or "sandbox-secret" in head for head in heard)


@pytest.mark.parametrize(("answer", "level"), [(page(502), "warn"), (page(404), "fail")])
async def test_a_proxy_that_waits_for_the_gateway_is_no_failure(tmp_path: Path, answer: bytes, level: str) -> None:
    async with canned(answer) as address:
        (finding,) = (await found(tmp_path, f"http://{address}"))["public url"]

    assert finding.level == level


@pytest.mark.parametrize(("is_serving", "level"), [(True, "fail"), (False, "warn")])
async def test_a_public_address_where_nothing_listens_is_told(tmp_path: Path, is_serving: bool, level: str) -> None:
    (finding,) = (await found(tmp_path, "http://127.0.0.1:1", is_serving=is_serving))["public url"]

    assert (finding.level, finding.text) == (level, "nothing listens at 127.0.0.1:1")


async def test_a_public_certificate_that_nobody_trusts_is_told(tmp_path: Path) -> None:
    async with canned(OURS, tls=certificate(tmp_path, *RIGHT_NAME)) as address:
        (finding,) = (await found(tmp_path, f"https://{address}"))["public url"]

    assert (finding.level, finding.text) == ("fail", f"the certificate of {address} is self-signed")


async def test_a_public_address_in_plain_text_is_told(tmp_path: Path) -> None:
    async with canned(OURS) as address:
        (finding,) = (await found(tmp_path, f"https://{address}", is_serving=True))["public url"]

    assert (finding.level, finding.text) == ("fail", f"{address} does not speak TLS")
    assert finding.advice.startswith("Write http:// in server.public_url")


async def test_the_real_gateway_behind_a_proxy_that_tells_nothing_does_not_know_of_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-in page as the gateway itself makes it for such a caller."""
    trust_folder = tmp_path / "tls"
    trust_folder.mkdir()
    tls = certificate(trust_folder, *RIGHT_NAME)
    trust(trust_folder, monkeypatch)
    async with running_gateway(tmp_path) as world:
        answers = [
            (await world.http.get(f"{scheme}://gateway.example/dashboard/sign-in")).text for scheme in ("http", "https")
        ]
    (tmp_path / "gateway.db").unlink()
    levels = []
    for text in answers:
        async with canned({UNKNOWN_ROUTE: OURS, "/dashboard/sign-in": page(200, text)}, tls=tls) as address:
            levels.append([each.level for each in (await found(tmp_path, f"https://{address}"))["public url"]])
            (tmp_path / "gateway.db").unlink()

    assert levels == [["ok", "fail"], ["ok"]]


@pytest.mark.parametrize("forwarded_for", [None, "", "203.0.113.9", "203.0.113.9, 10.0.0.1"])
async def test_a_forwarding_header_from_who_is_not_trusted_is_counted(
    tmp_path: Path, forwarded_for: str | None
) -> None:
    headers = {} if forwarded_for is None else {"X-Forwarded-For": forwarded_for}
    async with running_gateway(tmp_path) as world:
        await world.http.get("/api/v1/status", headers=headers)
        findings = [finding async for finding in run_checks(world.services, is_serving=True)]

    (finding,) = (finding for finding in findings if finding.check == "forwarding")
    assert (finding.level == "warn") == bool(forwarded_for)
