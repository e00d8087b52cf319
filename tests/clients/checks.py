"""What must be true of each answer to a client: whose it is, and that Airbyte's documents allow it."""

import json
import re

from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import PROBLEM_KEYS
from tests.airbyte_documents import DOCUMENTS, assert_valid
from tests.clients.recording import Answer, Exchange
from tests.clients.scene import Scene

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECRET = re.compile(r"smrt_[0-9A-Za-z]{20}|sandbox-(?:client|secret)")
NAME = re.compile(r"<(\w+)\.[^<>]*>")
SCHEMAS = (
    (r"POST .*/applications/token", "applications", "PublicAccessTokenResponse"),
    (r"GET /workspaces", "jobs", "WorkspacesResponse"),
    (r"GET /workspaces/[^/]+", "jobs", "WorkspaceResponse"),
    (r"GET /connections", "connections", "ConnectionsResponse"),
    (r"GET /connections/[^/]+", "connections", "ConnectionResponse"),
    (r"GET /sources", "jobs", "SourcesResponse"),
    (r"GET /sources/[^/]+", "jobs", "SourceResponse"),
    (r"GET /destinations", "jobs", "DestinationsResponse"),
    (r"GET /destinations/[^/]+", "jobs", "DestinationResponse"),
    (r"GET /jobs", "jobs", "JobsResponse"),
    (r"POST /jobs", "jobs", "JobResponse"),
    (r"(?:GET|DELETE) /jobs/\d+", "jobs", "JobResponse"),
)
"""Of the public API; there is no document of the Config API."""
CONFIG_API = re.compile(r"(?:GET|POST) /api/v1/(?:health|connections/\w+|jobs/\w+)/?")


def assert_named(exchange: Exchange) -> None:
    """Names stand for all ids and keys, and the answer has none but the caller's."""
    assert not SECRET.search(f"{exchange.request} {exchange.answer}"), exchange
    text = json.dumps(exchange.answer.body)
    assert not UUID.search(text), f"an id that is nobody's: {exchange}"
    assert {name[1] for name in NAME.finditer(text)} <= {exchange.tenant}, exchange


def assert_own(exchange: Exchange, scene: Scene) -> None:
    """The answer names nothing but what is the caller's, and tells of no job but of the caller's connections."""
    assert_named(exchange)
    jobs = scene.jobs_of(exchange.tenant) if exchange.tenant else set()
    assert set(_job_ids(exchange.answer.body)) <= jobs, exchange


def _job_ids(content: object) -> list[int]:
    if isinstance(content, list):
        return [job_id for each in content for job_id in _job_ids(each)]
    if not isinstance(content, dict):
        return []
    own = [content["jobId"]] if "jobId" in content else [content["id"]] if "configId" in content else []
    return own + [job_id for each in content.values() for job_id in _job_ids(each)]


def assert_documented(exchange: Exchange) -> None:
    """The answer has the form that Airbyte's documents give it; without them, at least that of an error."""
    request, answer = exchange.request, exchange.answer
    call = f"{request.method} {request.path.removeprefix(PUBLIC_API)}"
    if call == "GET /health":
        assert answer.body == "Successful operation"
    elif answer.status >= 400:
        assert_problem(answer)
    else:
        found = [(document, schema) for form, document, schema in SCHEMAS if re.fullmatch(form, call)]
        assert found or CONFIG_API.fullmatch(call), call
        if DOCUMENTS.is_dir():
            for document, schema in found:
                assert_valid(document, schema, answer.body)


def assert_problem(answer: Answer) -> None:
    assert list(answer.body) == PROBLEM_KEYS
    assert answer.body["status"] == answer.status
