"""Airbyte's own client for Python."""

import time
from typing import Any

from airbyte_api import AirbyteAPI, api, models
from airbyte_api.errors import ResponseValidationError, SDKError

from tests.clients.drivers.scene import failure_of, prepare, read_scene

ENDED = {models.JobStatusEnum.SUCCEEDED, models.JobStatusEnum.FAILED, models.JobStatusEnum.CANCELLED}

scene = read_scene()


def sign_in(key_id: str, key: str, **where: str) -> AirbyteAPI:
    """Sign in with client credentials; without `token_url` the client asks for its token at the host's root."""
    credentials = models.SchemeClientCredentials(client_id=key_id, client_secret=key, **where)
    security = models.Security(client_credentials=credentials)
    return AirbyteAPI(server_url=f"{scene.address}/api/public/v1", security=security)


def trigger(airbyte: AirbyteAPI, connection_id: str) -> Any:
    order = models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum.SYNC)
    return airbyte.jobs.create_job(request=order).job_response


def poll(airbyte: AirbyteAPI, job_id: int) -> list[models.JobStatusEnum]:
    """Return the statuses that were seen, to the end."""
    seen: list[models.JobStatusEnum] = []
    while not seen or seen[-1] not in ENDED:
        job = airbyte.jobs.get_job(request=api.GetJobRequest(job_id=job_id)).job_response
        assert job
        seen.append(job.status)
        time.sleep(1)
    return seen


def walk(airbyte: Any, tenant: Any) -> None:
    """Read all that the tenant has."""
    (workspace,) = airbyte.workspaces.list_workspaces(request=api.ListWorkspacesRequest()).workspaces_response.data
    listed = airbyte.connections.list_connections(
        request=api.ListConnectionsRequest(workspace_ids=[workspace.workspace_id], limit=3)
    ).connections_response
    assert len(listed.data) == 3
    assert listed.next
    rest = airbyte.connections.list_connections(
        request=api.ListConnectionsRequest(workspace_ids=[workspace.workspace_id], limit=3, offset=3)
    ).connections_response
    assert not rest.next
    rows = {row.connection_id: row for row in [*listed.data, *rest.data]}
    assert rows.keys() == set(vars(tenant.connections).values())
    jobs = airbyte.jobs.list_jobs(request=api.ListJobsRequest(order_by="createdAt|DESC")).jobs_response.data
    assert [job.job_id for job in jobs] == [tenant.job]
    # It wants a field in a destination that Airbyte does not send either: it reads none of any server.
    destinations = api.ListDestinationsRequest()
    told = failure_of(lambda: airbyte.destinations.list_destinations(request=destinations), ResponseValidationError)
    assert "destination_type" in told
    assert len(airbyte.sources.list_sources(request=api.ListSourcesRequest()).sources_response.data) == 4
    one = airbyte.connections.get_connection(request=api.GetConnectionRequest(connection_id=tenant.connections.shop))
    assert len(one.connection_response.configurations.streams) == 2


with sign_in(scene.globex.key_id, scene.globex.key) as airbyte:
    walk(airbyte, scene.globex)

with sign_in(scene.acme.key_id, scene.acme.key, token_url="v1/applications/token") as airbyte:
    assert airbyte.health.get_health_check().status_code == 200
    walk(airbyte, scene.acme)
    foreign = api.GetConnectionRequest(connection_id=scene.globex.connections.shop)
    assert "404" in failure_of(lambda: airbyte.connections.get_connection(request=foreign), SDKError)
    assert "404" in failure_of(
        lambda: airbyte.jobs.get_job(request=api.GetJobRequest(job_id=scene.globex.job)), SDKError
    )
    assert "404" in failure_of(lambda: trigger(airbyte, scene.globex.connections.shop), SDKError)
    assert "403" in failure_of(lambda: airbyte.tags.list_tags(request=api.ListTagsRequest()), SDKError)

    job = trigger(airbyte, scene.acme.connections.shop)
    assert job.status in (models.JobStatusEnum.PENDING, models.JobStatusEnum.RUNNING)
    assert poll(airbyte, job.job_id)[-1] == models.JobStatusEnum.SUCCEEDED
    job = trigger(airbyte, scene.acme.connections.failing)
    assert poll(airbyte, job.job_id)[-1] == models.JobStatusEnum.FAILED

    prepare("queued")
    job = trigger(airbyte, scene.acme.connections.queued)
    assert job.status == models.JobStatusEnum.PENDING
    assert poll(airbyte, job.job_id)[-1] == models.JobStatusEnum.SUCCEEDED

    prepare("running")
    job = trigger(airbyte, scene.acme.connections.running)
    assert job.status == models.JobStatusEnum.RUNNING
    again = trigger(airbyte, scene.acme.connections.running)
    assert again.job_id == job.job_id
    cancelled = airbyte.jobs.cancel_job(request=api.CancelJobRequest(job_id=job.job_id)).job_response
    assert cancelled.status == models.JobStatusEnum.CANCELLED

bearer = models.Security(bearer_auth=scene.acme.expired_key)
with AirbyteAPI(server_url=f"{scene.address}/api/public/v1", security=bearer) as airbyte:
    assert "401" in failure_of(lambda: trigger(airbyte, scene.acme.connections.shop), SDKError)
with sign_in(scene.acme.expired_id, scene.acme.expired_key) as airbyte:
    assert "401" in failure_of(lambda: trigger(airbyte, scene.acme.connections.shop))
