"""The client that Airbyte publishes works against the sandbox, over a real socket."""

import threading
from collections.abc import Iterator

import pytest
import uvicorn
from airbyte_api import AirbyteAPI, api, models
from airbyte_api.errors import ResponseValidationError

from gateway.sandbox import PUBLIC_API, Sandbox
from tests.sandbox.conftest import Clock


@pytest.fixture
def address(clock: Clock) -> Iterator[str]:
    """A seeded sandbox on a free port."""
    config = uvicorn.Config(
        Sandbox(clock=clock).app, port=0, date_header=False, lifespan="off", ws="none", log_level="warning"
    )
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def sign_in(address: str, token_url: str) -> AirbyteAPI:
    credentials = models.SchemeClientCredentials(
        client_id="sandbox-client", client_secret="sandbox-secret", token_url=token_url
    )
    security = models.Security(client_credentials=credentials)
    return AirbyteAPI(server_url=f"{address}{PUBLIC_API}", security=security)


@pytest.mark.parametrize("token_url", ["/applications/token", "{address}/api/public/v1/applications/token"])
def test_the_published_client_lists_triggers_and_polls_to_the_end(address: str, clock: Clock, token_url: str) -> None:
    with sign_in(address, token_url.format(address=address)) as airbyte:
        page = airbyte.connections.list_connections(request=api.ListConnectionsRequest(limit=100))
        assert page.connections_response
        assert len(page.connections_response.data) == 10
        connection = next(row for row in page.connections_response.data if row.name.startswith("Shopify"))

        order = models.JobCreateRequest(connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC)
        job = airbyte.jobs.create_job(request=order).job_response
        seen = []
        while job and job.status not in (models.JobStatusEnum.SUCCEEDED, models.JobStatusEnum.FAILED):
            seen.append(job.status)
            clock.advance(2)
            job = airbyte.jobs.get_job(request=api.GetJobRequest(job_id=job.job_id)).job_response

    assert set(seen) == {models.JobStatusEnum.PENDING, models.JobStatusEnum.RUNNING}
    assert job
    assert (job.status, job.duration) == (models.JobStatusEnum.SUCCEEDED, "PT10S")


def test_the_published_client_reads_the_sources_it_can_read(address: str) -> None:
    """It refuses every source with a `credentials` object, of the real Airbyte too: a fault of its union of types."""
    read: dict[str, str] = {}
    world = Sandbox(clock=Clock()).world
    with sign_in(address, "/applications/token") as airbyte:
        for source in world.sources.values():
            if "credentials" in source.configuration:
                with pytest.raises(ResponseValidationError):
                    airbyte.sources.get_source(request=api.GetSourceRequest(source_id=source.actor_id))
                continue
            answer = airbyte.sources.get_source(request=api.GetSourceRequest(source_id=source.actor_id))
            assert answer.source_response
            read[source.kind] = type(answer.source_response.configuration).__name__

    assert read.keys() == {"postgres", "stripe", "salesforce", ""}
    assert (read["postgres"], read["stripe"], read["salesforce"]) == (
        "SourcePostgres",
        "SourceStripe",
        "SourceSalesforce",
    )


def test_the_published_client_walks_what_is_around_workspaces(address: str) -> None:
    with sign_in(address, "/applications/token") as airbyte:
        organizations = airbyte.organizations.list_organizations_for_user().organizations_response
        assert organizations
        request = api.ListUsersWithinAnOrganizationRequest(organization_id=organizations.data[0].organization_id)
        users = airbyte.users.list_users_within_an_organization(request=request).users_response
        permissions = airbyte.permissions.list_permissions(request=api.ListPermissionsRequest()).permissions_response
        tags = airbyte.tags.list_tags(request=api.ListTagsRequest()).tags_response
        page = airbyte.connections.list_connections(request=api.ListConnectionsRequest(limit=1)).connections_response
        assert page
        asked = api.GetStreamPropertiesRequest(source_id=page.data[0].source_id)
        streams = airbyte.streams.get_stream_properties(request=asked).stream_properties_response

    assert users
    assert permissions
    assert permissions.data[0].user_id == users.data[0].id
    assert tags
    assert {tag.name for tag in tags.data} == {"production"}
    assert streams
    assert [row.stream_name for row in streams] == [row.name for row in page.data[0].configurations.streams or []]
