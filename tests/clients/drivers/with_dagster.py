"""Dagster's integration: the specs of a workspace's assets, and syncs that materialize them."""

from typing import Any

import dagster
from dagster_airbyte import AirbyteWorkspace

from tests.clients.drivers.scene import failure_of, prepare, read_scene, workspace_id

scene = read_scene()
own = scene.acme.connections


def workspace(tenant: Any, key_id: str, key: str, **options: Any) -> AirbyteWorkspace:
    return AirbyteWorkspace(
        rest_api_base_url=f"{scene.address}/api/public/v1",
        configuration_api_base_url=f"{scene.address}/api/v1",
        workspace_id=workspace_id(scene.address, tenant.key),
        client_id=key_id,
        client_secret=key,
        poll_interval=1,
        **options,
    )


for name in ("globex", "acme"):
    tenant = getattr(scene, name)
    with workspace(tenant, tenant.key_id, tenant.key).process_config_and_initialize_cm() as airbyte:
        keys = {spec.key.path[-1] for spec in airbyte.load_asset_specs()}
    assert keys == {f"{name}_{each}{end}" for each in vars(tenant.connections) for end in ("", "_items")}

client = workspace(scene.acme, scene.acme.key_id, scene.acme.key).get_client()
assert "Max retries" in failure_of(
    lambda: client.get_connection_details(scene.globex.connections.shop), dagster.Failure
)
assert "Max retries" in failure_of(lambda: client.get_job_details(scene.globex.job), dagster.Failure)

assert client.sync_and_poll(own.shop).job_details["status"] == "succeeded"
assert "Job failed" in failure_of(lambda: client.sync_and_poll(own.failing), dagster.Failure)

prepare("queued")
patient = workspace(scene.acme, scene.acme.key_id, scene.acme.key, poll_previous_running_sync=True).get_client()
assert patient.sync_and_poll(own.queued).job_details["status"] == "succeeded"

prepare("running")
job = client.start_sync_job(own.running)
assert job["status"] == "running"
# It looks before it starts, and lets no sync of its own join.
assert "already running" in failure_of(lambda: client.sync_and_poll(own.running), dagster.Failure)
assert client.start_sync_job(own.running)["jobId"] == job["jobId"]
assert client.cancel_job(job["jobId"])["status"] == "cancelled"

expired = workspace(scene.acme, scene.acme.expired_id, scene.acme.expired_key).get_client()
assert "Max retries" in failure_of(lambda: expired.sync_and_poll(own.shop), dagster.Failure)
