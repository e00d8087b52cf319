"""A disk without space: reading goes on, writing says so, and nothing is promised that is not kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.auth import keys
from tests import plain_http
from tests.cli.conftest import Airbyte
from tests.faults.disks import fill, no_file_may_grow, small_disk
from tests.faults.installation import Installation, Served, install, refusal

UNAVAILABLE = {"error": "Storage is unavailable"}


@pytest.fixture
def on_small_disk(tmp_path: Path, airbyte: Airbyte) -> Iterator[Installation]:
    """With its log on the very disk that will be full."""
    with small_disk(tmp_path / "disk") as folder:
        yield install(folder, airbyte)


def posts(airbyte: Airbyte) -> int:
    return sum(request.method == "POST" and request.path.endswith("/jobs") for request in airbyte.sandbox.requests)


def assert_reads_go_on_and_writes_do_not(
    served: Served, airbyte: Airbyte, cached: str, uncached: str, connection_id: str
) -> None:
    before = posts(airbyte)
    for _ in range(3):
        for key in (cached, uncached):
            assert served.get("/status", key).status_code == 200
            assert served.get("/connections", key).status_code == 200
            assert served.get(f"/connections/{connection_id}/jobs", key).status_code == 200
        refused = served.trigger(connection_id, cached)
        assert (refused.status_code, refused.json()) == (503, UNAVAILABLE)
        assert int(refused.headers["retry-after"]) >= 1
    assert served.get("/status", keys.mint(lambda alphabet: alphabet[0])).status_code == 401
    assert posts(airbyte) == before


def test_a_full_disk_stops_writes_only_and_is_over_when_there_is_space(on_small_disk: Installation) -> None:
    cached, uncached = on_small_disk.key(), on_small_disk.key()
    ((ours, _),) = on_small_disk.connections(1)
    with on_small_disk.serve() as served:
        assert served.trigger(ours, cached).status_code == 200
        ballast = fill(on_small_disk.folder)

        assert_reads_go_on_and_writes_do_not(served, on_small_disk.airbyte, cached, uncached, ours)
        full = plain_http.get(f"{served.address}/readyz")

        ballast.unlink()
        assert served.trigger(ours, cached).status_code == 200
        assert (full.status_code, full.json()["writes"]) == (200, "failing: full")
        assert "writes" not in plain_http.get(f"{served.address}/readyz").json()
        assert served.get("/status", on_small_disk.key()).status_code == 200
        served.kill()

    assert on_small_disk.rows("PRAGMA integrity_check") == [("ok",)]
    assert on_small_disk.rows("SELECT count(*) FROM triggers") == [(2,)]
    assert "Traceback" not in served.log.read_text()


def test_no_key_is_shown_that_a_full_disk_did_not_keep(on_small_disk: Installation) -> None:
    key = on_small_disk.key()
    ((key_id,),) = on_small_disk.rows("SELECT id FROM api_keys")
    with on_small_disk.serve() as served:
        ballast = fill(on_small_disk.folder)

        for words in (
            ("key", "create", "--client", "acme", "--name", "second"),
            ("key", "rotate", key_id),
            ("key", "revoke", key_id, "--yes"),
            ("client", "add", "--name", "Second", "--slug", "second"),
        ):
            assert refusal(on_small_disk.run(*words)).startswith("Error: Storage is unavailable: ")
        assert served.get("/status", key).status_code == 200
        assert on_small_disk.rows("SELECT id, revoked_at, successor_id FROM api_keys") == [(key_id, None, None)]

        ballast.unlink()
        on_small_disk.ok("key", "revoke", key_id, "--yes")
        assert served.get("/status", key).status_code == 401


def test_a_start_on_a_full_disk_serves_what_there_is(on_small_disk: Installation, tmp_path: Path) -> None:
    key = on_small_disk.key()
    with on_small_disk.serve() as served:
        served.kill()
    fill(on_small_disk.folder)

    with on_small_disk.serve(tmp_path / "serve.log") as served:
        assert served.get("/status", key).status_code == 200


def test_a_database_that_cannot_be_written_stops_writes_only(tmp_path: Path, airbyte: Airbyte) -> None:
    installation = install(tmp_path, airbyte)
    cached, uncached = installation.key(), installation.key()
    ((ours, _),) = installation.connections(1)
    with installation.serve() as served:
        assert served.trigger(ours, cached).status_code == 200

        with no_file_may_grow(served.process.pid):
            assert_reads_go_on_and_writes_do_not(served, airbyte, cached, uncached, ours)

        assert served.trigger(ours, cached).status_code == 200
        assert served.get("/status", installation.key()).status_code == 200
        served.kill()

    assert installation.rows("PRAGMA integrity_check") == [("ok",)]
    assert "Traceback" not in served.log.read_text()
