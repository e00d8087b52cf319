"""Which release of Airbyte answers, and which is a danger."""

import json
from pathlib import Path

import pytest

from gateway.doctor import Finding
from gateway.doctor.release import check_release, root_of
from tests.doctor.canned import PATIENT, canned, page
from tests.faults.conftest import front_of, theirs
from tests.faults.fault import BASE_PATH

ROUTE = "/api/v1/instance_configuration"


def told(version: object) -> bytes:
    return page(200, json.dumps({"edition": "community", "version": version}), content_type="application/json")


async def findings_at(folder: Path, answers: dict[str, bytes], *, host: str = "127.0.0.1") -> list[Finding]:
    mapped = {f"{BASE_PATH}/connections/{theirs(1)}": page(502)}
    async with canned({**mapped, **answers}) as address:
        base_url = f"http://{host}:{address.rpartition(':')[2]}"
        async with front_of(folder, base_url=base_url, warm=False, auth="none") as front:
            return [finding async for finding in check_release(PATIENT, front.services)]


@pytest.mark.parametrize("version", ["2.0.0", "2.3.9", "2.4.0", "1.8.0-rc1"])
async def test_the_release_is_told(tmp_path: Path, version: str) -> None:
    assert await findings_at(tmp_path, {ROUTE: told(version)}) == [Finding("airbyte release", "ok", version)]


@pytest.mark.parametrize(
    ("version", "level"), [("1.8.5", "warn"), ("2.3.9", "warn"), ("2.4.0", "ok"), ("2.10.0", "ok"), ("10.0", "ok")]
)
async def test_a_release_with_a_known_hole_is_warned_of_where_others_reach_it(
    tmp_path: Path, version: str, level: str
) -> None:
    # Every address of 0.0.0.0/8 is this machine's own, but says so no more than a name does.
    (finding,) = await findings_at(tmp_path, {ROUTE: told(version)}, host="0.0.0.0")

    assert (finding.level, "CVE-2026-80049" in finding.text) == (level, level == "warn")


@pytest.mark.parametrize(
    "answer",
    [
        page(404),
        page(200),
        told("<script>"),
        told(7),
        page(200, "{}"),
        page(200, "[" * 5000),
        told(2).replace(b"2}", 5000 * b"["),
    ],
    ids=["nothing", "a page", "no release", "a number", "no field", "deep", "deep inside"],
)
async def test_what_tells_no_release_is_passed_over(tmp_path: Path, answer: bytes) -> None:
    assert await findings_at(tmp_path, {ROUTE: answer}) == []


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("http://a.example:8000/api/public/v1", "http://a.example:8000"),
        ("https://a.example/airbyte/api/public/v1", "https://a.example/airbyte"),
        ("https://a.example/v1", "https://a.example"),
    ],
)
def test_the_route_is_beside_the_api(base_url: str, root: str) -> None:
    assert root_of(base_url) == root
