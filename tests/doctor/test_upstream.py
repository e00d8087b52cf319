"""The way to Airbyte: name, certificate, and the wrong protocol at a port."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.doctor import Finding, run_checks
from gateway.doctor.base_url import alternatives, diagnose
from gateway.doctor.timings import DoctorTimings
from gateway.errors import UpstreamUnreachable
from gateway.settings.secret import SecretUrl
from tests.airbyte.proxy import proxy_running
from tests.doctor.canned import PATIENT, SILENCE, canned, page
from tests.faults.conftest import Front, front_of, theirs
from tests.faults.fault import BASE_PATH
from tests.faults.test_upstream_connect import RIGHT_NAME, certificate, certificate_of_an_authority, trust
from tests.support import START

WRONG_NAME = ("-addext", "subjectAltName=DNS:other.test")


async def found_by(front: Front, timings: DoctorTimings | None = None) -> dict[str, Finding]:
    front.airbyte.anonymous = True
    front.clock.advance((datetime.now(UTC) - START).total_seconds() - front.clock.elapsed)
    return {finding.check: finding async for finding in run_checks(front.services, is_serving=True, timings=timings)}


@pytest.mark.parametrize(
    ("options", "is_trusted", "level", "text"),
    [
        ((*RIGHT_NAME, "-days", "90"), True, "ok", "the certificate of 127.0.0.1 verifies and ends on"),
        ((*RIGHT_NAME, "-days", "13"), True, "warn", "the certificate of 127.0.0.1 verifies and ends on"),
        (RIGHT_NAME, False, "fail", "is self-signed"),
        (WRONG_NAME, True, "fail", "is for another address"),
        (None, True, "fail", "does not speak TLS"),
    ],
    ids=["good", "ends soon", "self-signed", "wrong name", "plain text"],
)
async def test_a_certificate_is_judged_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...] | None,
    is_trusted: bool,
    level: str,
    text: str,
) -> None:
    tls = None if options is None else certificate(tmp_path, *options)
    if tls and is_trusted:
        trust(tmp_path, monkeypatch)
    async with front_of(tmp_path, base_url="https://127.0.0.1:{port}", tls=tls, warm=False, auth="none") as front:
        found = await found_by(front)

    assert (found["tls"].level, text in found["tls"].text) == (level, True), found["tls"]
    assert bool(found["tls"].advice) == (level != "ok")
    assert ("airbyte" in found) == (level != "fail")


@pytest.mark.parametrize("is_named", [True, False])
async def test_an_unknown_authority_is_told_with_the_setting_that_makes_it_known(
    tmp_path: Path, is_named: bool
) -> None:
    tls, authority = certificate_of_an_authority(tmp_path, *RIGHT_NAME)
    ca_file = str(authority) if is_named else ""
    base_url = "https://127.0.0.1:{port}"
    async with front_of(tmp_path, base_url=base_url, tls=tls, warm=False, auth="none", ca_file=ca_file) as front:
        finding = (await found_by(front))["tls"]

    if is_named:
        assert "127.0.0.1 verifies" in finding.text
    else:
        assert "is signed by an authority this machine does not know" in finding.text
        assert "airbyte.ca_file" in finding.advice


async def test_an_expired_certificate_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = certificate(tmp_path, *RIGHT_NAME, days=-1)
    trust(tmp_path, monkeypatch)
    async with front_of(tmp_path, base_url="https://127.0.0.1:{port}", tls=tls, warm=False, auth="none") as front:
        finding = (await found_by(front))["tls"]

    assert finding.text.endswith("has expired")
    assert finding.advice.startswith("Renew the certificate")


async def test_plain_http_to_a_tls_port_is_recognised(tmp_path: Path) -> None:
    tls = certificate(tmp_path, *RIGHT_NAME)
    async with front_of(tmp_path, base_url="http://127.0.0.1:{port}", tls=tls, warm=False, auth="none") as front:
        finding = (await found_by(front))["airbyte"]
        address = f"127.0.0.1:{front.airbyte.port}"

    assert finding.level == "fail"
    assert finding.advice == f"{address} speaks TLS: write https://{address}/api/public/v1 into airbyte.base_url."


async def test_a_name_that_nobody_knows_ends_the_way(tmp_path: Path) -> None:
    async with front_of(tmp_path, base_url="http://airbyte.invalid:{port}", warm=False, auth="none") as front:
        found = await found_by(front)

    assert found["dns"].level == "fail"
    assert found["dns"].text.startswith("airbyte.invalid has no address: ")
    assert found["dns"].advice == "Correct the host in airbyte.base_url, or this machine's resolver."
    assert list(found)[-1] == "dns"


async def test_a_name_is_shown_with_its_address(tmp_path: Path) -> None:
    async with front_of(tmp_path, base_url="http://localhost:{port}", warm=False, auth="none") as front:
        finding = (await found_by(front))["dns"]

    assert finding.level == "ok"
    assert "127.0.0.1" in finding.text


async def test_an_airbyte_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async with (
        canned(
            {
                f"{BASE_PATH}/connections/{theirs(1)}": page(502),
                f"{BASE_PATH}/workspaces?limit=100&offset=0": SILENCE,
            }
        ) as address,
        front_of(tmp_path, base_url=f"http://{address}", warm=False, auth="none") as front,
    ):
        finding = (await found_by(front, DoctorTimings(answer=0.2)))["airbyte"]

    assert finding == Finding("airbyte", "fail", "no answer within 0.2 s", "Find out what keeps Airbyte's server busy.")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_right_address_behind_a_proxy_that_fails_is_not_called_wrong(tmp_path: Path, status: int) -> None:
    async with (
        canned(page(status)) as address,
        front_of(tmp_path, base_url=f"http://{address}", warm=False, auth="none") as front,
    ):
        finding = await diagnose(UpstreamUnreachable(detail="502 from Airbyte"), front.services, PATIENT)

    assert finding.text.startswith(f"http://{address}{BASE_PATH} answers {status}: ")
    assert "proxy in front" in finding.text
    assert "base_url" not in finding.advice


async def test_an_address_where_a_proxy_fails_is_wrong_if_airbyte_is_at_another(tmp_path: Path) -> None:
    answers = {f"{BASE_PATH}/health": page(200, "Successful operation")}
    for path in ("health", f"connections/{theirs(1)}"):
        answers[f"/old{BASE_PATH}/{path}"] = page(502)
    async with (
        canned(answers) as address,
        front_of(tmp_path, base_url=f"http://{address}/old", warm=False, auth="none") as front,
    ):
        finding = await diagnose(UpstreamUnreachable(), front.services, PATIENT)

    assert finding.advice == f"Airbyte's API is at http://{address}{BASE_PATH}: write that into airbyte.base_url."


async def test_a_diagnosis_that_hangs_leaves_what_is_known(tmp_path: Path) -> None:
    answers = {f"{BASE_PATH}/workspaces?limit=100&offset=0": page(404), f"{BASE_PATH}/health": SILENCE}
    answers[f"{BASE_PATH}/connections/{theirs(1)}"] = page(502)
    async with (
        canned(answers) as address,
        front_of(tmp_path, base_url=f"http://{address}", warm=False, auth="none") as front,
    ):
        finding = (await found_by(front, DoctorTimings(diagnosis=0.1)))["airbyte"]

    assert (finding.level, finding.text) == (
        "fail",
        "Upstream service returned an invalid response: 404 from Airbyte",
    )


@pytest.mark.parametrize("base_url", ["https://cloud.airbyte.com/api/v1", "https://api.airbyte.com/api/public/v1"])
async def test_cloud_at_a_wrong_address_is_told_the_right_one_and_not_asked(tmp_path: Path, base_url: str) -> None:
    async with front_of(tmp_path, base_url=base_url.removesuffix("/api/public/v1"), warm=False, auth="none") as front:
        finding = await diagnose(UpstreamUnreachable(), front.services, PATIENT)

    assert finding.advice == ("Airbyte Cloud's API is at https://api.airbyte.com/v1: write that into airbyte.base_url.")


@pytest.mark.parametrize(
    ("base_url", "first"),
    [
        ("https://a.example", "https://a.example/api/public/v1"),
        ("https://a.example/v1", "https://a.example/api/public/v1"),
        ("https://a.example/api", "https://a.example/api/public/v1"),
        ("https://a.example/airbyte/api/v1", "https://a.example/airbyte/api/public/v1"),
        ("https://a.example/airbyte/api/public/v1", "https://a.example/api/public/v1"),
        ("https://[::1]:8000/public/v1", "https://[::1]:8000/api/public/v1"),
    ],
)
def test_other_addresses_keep_what_stands_before_the_api(base_url: str, first: str) -> None:
    assert alternatives(base_url)[0] == first
    assert base_url not in alternatives(base_url)


async def test_the_way_through_a_proxy_is_checked_to_its_end(tmp_path: Path) -> None:
    tls, authority = certificate_of_an_authority(tmp_path, *RIGHT_NAME)
    options = {"base_url": "https://127.0.0.1:{port}", "tls": tls, "auth": "none", "warm": False}
    async with (
        proxy_running() as proxy,
        front_of(tmp_path, **options, ca_file=str(authority), proxy=SecretUrl(proxy.url)) as front,  # type: ignore[arg-type]
    ):
        found = await found_by(front)

    assert found["tls"].level != "fail"
    assert "it answers 200" in found["airbyte"].text  # of all that is asked the fault server knows the half
    assert len(proxy.heads) == len(front.airbyte.connections) > 1


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there_is_told_with_its_setting(tmp_path: Path, scheme: str) -> None:
    proxy = SecretUrl("http://user:s3cret@127.0.0.1:1")
    base_url = scheme + "://127.0.0.1:{port}"
    async with front_of(tmp_path, base_url=base_url, warm=False, auth="none", proxy=proxy) as front:
        found = await found_by(front)

    finding = found["tls" if scheme == "https" else "airbyte"]
    assert finding.level == "fail"
    assert "127.0.0.1:1" in finding.text
    assert finding.advice == "Correct airbyte.proxy, or what the proxy lets through."
    assert "s3cret" not in str(found)
