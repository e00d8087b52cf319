"""Which requests the compatible API answers: one rule, which takes nothing from our own routes."""

import pytest

from gateway.app import COMPATIBLE, ROUTES
from gateway.errors import NotFound
from gateway.web.compatible_paths import PUBLIC_API, is_compatible
from tests.airbyte_compat.support import Tenant
from tests.support import NEVER_OURS, bearer

OWN = [
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/connections"),
    ("POST", f"/api/v1/connections/{NEVER_OURS}/sync"),
    ("POST", "/api/v1/connections/conn_abcdefghijklmnop/sync"),
    ("GET", f"/api/v1/connections/{NEVER_OURS}/jobs"),
    ("POST", f"/api/v1/connections/{NEVER_OURS}/jobs/1/cancel"),
    ("GET", f"/api/v1/connections/{NEVER_OURS}/jobs/1"),
    ("GET", "/api/v1/jobs"),
    ("POST", "/api/v1/keys/revoke"),
]
ELSEWHERE = [
    ("GET", "/"),
    ("GET", "/docs/api"),
    ("GET", "/healthz"),
    ("GET", "/api/public/v1x"),
    ("GET", "/api/public"),
    ("POST", "/api/v1/keys/rotate"),
    ("POST", "/api/v1/nothing"),
    ("GET", "/api/v1/connections/get"),
    ("POST", "/api/v1/connections/get//"),
    ("POST", "//applications/token"),
    ("POST", "/api/applications/token"),
]
ANSWERED = [
    ("GET", PUBLIC_API),
    ("GET", f"{PUBLIC_API}/a\nb"),
    ("DELETE", f"{PUBLIC_API}/jobs/1"),
    ("GET", "/applications/token"),
    ("POST", "/v1/applications/token/"),
    ("GET", "/api/v1/health/"),
    ("POST", "/api/v1/connections/get/"),
    ("POST", "/api/v1/web_backend/connections/get"),
    ("POST", "/api/v1/web_backend/check_updates"),
    ("POST", "/api/v1/connections/getForJob"),
    ("POST", "/api/v1/connections/clear/stream"),
    ("POST", "/api/v1/jobs/cancelQueuedJob"),
    ("POST", "/api/v1/jobs/retry_states/get"),
    ("POST", "/api/v1/scheduler/sources/check_connection"),
    ("POST", "/api/v1/source_oauths/oauth_params/create"),
    ("POST", "/api/v1/applications/list"),
]


def test_what_it_leaves_alone() -> None:
    alone = [*OWN, *ELSEWHERE]

    assert [each for each in alone if is_compatible(*each)] == []
    assert [each for each in alone if COMPATIBLE.find(*each) != (None, {})] == []


def test_what_it_answers() -> None:
    assert [(method, path) for method, path in ANSWERED if not is_compatible(method, path)] == []
    assert [path for _, path in ANSWERED if not ROUTES.covers(path)] == []


def test_each_of_its_routes_is_compatible_and_found_by_its_methods() -> None:
    for route in COMPATIBLE.routes:
        path = route.template.replace("{id}", "1")
        for method in route.methods:
            assert is_compatible(method, path)
            for slash in ("", "/"):
                found, _ = ROUTES.find(method, path + slash)
                assert found is not None
                assert (found.handler, found.name) == (route.handler, route.template)


@pytest.mark.parametrize(("method", "path"), OWN)
def test_our_own_routes_come_first(method: str, path: str) -> None:
    found, _ = ROUTES.find(method, path)

    assert found is not None
    assert found.name.startswith("/api/v1/")
    assert found not in COMPATIBLE.routes


async def test_unknown_paths_elsewhere_stay_as_they_are(acme: Tenant) -> None:
    for method, path in ELSEWHERE[-8:]:
        if path.startswith("/api/v1/"):
            answer = await acme.world.http.request(method, path, headers=bearer(acme.key))
            assert (answer.status_code, answer.json()) == (404, {"error": NotFound.message})
