"""PyAirbyte's module for an Airbyte server."""

from typing import Any

from airbyte.cloud import CloudWorkspace
from airbyte.exceptions import AirbyteConnectionSyncError

from tests.clients.drivers.scene import failure_of, prepare, read_scene, workspace_id

scene = read_scene()
own = scene.acme.connections


def connect(tenant: Any, **credentials: str) -> CloudWorkspace:
    return CloudWorkspace(
        workspace_id=workspace_id(scene.address, tenant.key), api_root=f"{scene.address}/api/public/v1", **credentials
    )


globex = connect(scene.globex, bearer_token=scene.globex.key)
acme = connect(scene.acme, client_id=scene.acme.key_id, client_secret=scene.acme.key)
for tenant, airbyte in ((scene.globex, globex), (scene.acme, acme)):
    airbyte.connect()
    listed = {connection.connection_id for connection in airbyte.list_connections()}
    assert listed == set(vars(tenant.connections).values())
    assert len(airbyte.list_sources()) == 4
    shop = airbyte.get_connection(tenant.connections.shop)
    assert len(shop.stream_names) == 2
    assert [log.job_id for log in shop.get_previous_sync_logs()] == [tenant.job]

assert "404" in failure_of(lambda: acme.get_connection(scene.globex.connections.shop).run_sync())

result = acme.get_connection(own.shop).run_sync()
assert result.get_job_status().value == "succeeded"
assert result.records_synced == 12_000
assert [attempt.status for attempt in result.get_attempts()] == ["succeeded"]

result = acme.get_connection(own.failing).run_sync(wait=False)
assert result.wait_for_completion().value == "failed"
failure_of(result.raise_failure_status, AirbyteConnectionSyncError)
assert result.get_attempts()[-1].status == "failed"

prepare("queued")
result = acme.get_connection(own.queued).run_sync(wait=False)
assert result.get_job_status().value == "pending"
assert result.wait_for_completion().value == "succeeded"

prepare("running")
running = acme.get_connection(own.running)
result = running.run_sync(wait=False)
assert running.run_sync(wait=False).job_id == result.job_id
assert running.cancel_sync().get_job_status().value == "cancelled"

expired = connect(scene.acme, bearer_token=scene.acme.expired_key)
assert "401" in failure_of(expired.connect)
assert "401" in failure_of(lambda: expired.get_connection(own.shop).run_sync())
