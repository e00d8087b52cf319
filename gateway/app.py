"""The application: its middleware, its routes, its life. A request's whole way can be read off this page."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gateway.airbyte_compat.actors import list_destinations, list_sources, show_destination, show_source
from gateway.airbyte_compat.config_connections import (
    get_connection,
    list_connections_of_workspace,
    show_statuses,
    sync_connection,
)
from gateway.airbyte_compat.config_jobs import cancel, get_job, list_jobs_of_connection
from gateway.airbyte_compat.connections import list_connections as list_compatible_connections
from gateway.airbyte_compat.connections import show_connection
from gateway.airbyte_compat.health import show_availability
from gateway.airbyte_compat.health import show_health as show_compatible_health
from gateway.airbyte_compat.jobs import create_job, delete_job
from gateway.airbyte_compat.jobs import list_jobs as list_compatible_jobs
from gateway.airbyte_compat.jobs import show_job as show_compatible_job
from gateway.airbyte_compat.routes import CompatibleRoutes
from gateway.airbyte_compat.token import TOKEN_PATHS, CredentialsReader, give_token
from gateway.airbyte_compat.workspaces import list_workspaces, show_workspace
from gateway.api.connections import list_connections
from gateway.api.health import show_health, show_readiness
from gateway.api.job_cancel import cancel_job
from gateway.api.jobs import list_all_jobs, list_jobs, show_job, trigger_sync
from gateway.api.keys import revoke_key
from gateway.api.metrics import show_metrics
from gateway.api.openapi.handler import show_openapi
from gateway.api.status import show_status
from gateway.auth.guess_throttle import AuthThrottle
from gateway.cluster.shared_limiter import SharedLimiter
from gateway.resources import is_installed
from gateway.services import Services
from gateway.telemetry.log import WriteLine, write_line
from gateway.web.admission import Gate
from gateway.web.compatible_paths import PUBLIC_API
from gateway.web.credentials import KnownKeys
from gateway.web.draining import waiting_state
from gateway.web.early_refusals import EarlyRefusals
from gateway.web.key_check import KeyCheck
from gateway.web.lazy_mount import LazyMount
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.middleware.authentication import AuthenticationMiddleware
from gateway.web.middleware.body_limit import BodyLimitMiddleware
from gateway.web.middleware.errors import ErrorMiddleware
from gateway.web.middleware.rate_limit import RateLimitMiddleware
from gateway.web.middleware.request_log import RequestLog, RequestLogMiddleware
from gateway.web.middleware.shared_rate_limit import SharedRateLimitMiddleware
from gateway.web.router import ApiMount, ApiRoute, ApiRouter, ApiRoutes, takes_no_token

if TYPE_CHECKING:
    from gateway.dashboard.timings import PageTimings

API = "/api/v1"
COMPATIBLE = CompatibleRoutes(
    [
        # Kestra asks for a token before each poll, and Dagster cancels a sync if it gets none: as free as polls are.
        *(ApiRoute(path, give_token, method="POST", takes_token=False, entrance="credentials") for path in TOKEN_PATHS),
        ApiRoute(f"{PUBLIC_API}/health", show_compatible_health, entrance="open"),
        ApiRoute(f"{PUBLIC_API}/workspaces", list_workspaces),
        ApiRoute(f"{PUBLIC_API}/workspaces/{{id}}", show_workspace),
        ApiRoute(f"{PUBLIC_API}/connections", list_compatible_connections),
        ApiRoute(f"{PUBLIC_API}/connections/{{id}}", show_connection),
        ApiRoute(f"{PUBLIC_API}/sources", list_sources),
        ApiRoute(f"{PUBLIC_API}/sources/{{id}}", show_source),
        ApiRoute(f"{PUBLIC_API}/destinations", list_destinations),
        ApiRoute(f"{PUBLIC_API}/destinations/{{id}}", show_destination),
        ApiRoute(f"{PUBLIC_API}/jobs", list_compatible_jobs),
        ApiRoute(f"{PUBLIC_API}/jobs", create_job, method="POST", is_patient=True),
        ApiRoute(f"{PUBLIC_API}/jobs/{{id}}", show_compatible_job, is_patient=True, takes_token=False),
        ApiRoute(f"{PUBLIC_API}/jobs/{{id}}", delete_job, method="DELETE", is_patient=True),
        ApiRoute(f"{API}/health", show_availability, entrance="open"),
        ApiRoute(f"{API}/connections/get", get_connection, method="POST"),
        ApiRoute(f"{API}/connections/list", list_connections_of_workspace, method="POST"),
        ApiRoute(f"{API}/connections/status", show_statuses, method="POST"),
        ApiRoute(f"{API}/connections/sync", sync_connection, method="POST", is_patient=True),
        ApiRoute(f"{API}/jobs/get", get_job, method="POST", is_patient=True, takes_token=False),
        ApiRoute(f"{API}/jobs/list", list_jobs_of_connection, method="POST"),
        ApiRoute(f"{API}/jobs/cancel", cancel, method="POST", is_patient=True),
    ]
)
ROUTES = ApiRoutes(
    API,
    [
        ApiRoute("/status", show_status),
        ApiRoute("/connections", list_connections),
        ApiRoute("/connections/{id}/sync", trigger_sync, method="POST", is_patient=True),
        ApiRoute("/connections/{id}/jobs", list_jobs),
        ApiRoute("/connections/{id}/jobs/{jobId}/cancel", cancel_job, method="POST", is_patient=True),
        ApiRoute("/connections/{id}/jobs/{jobId}", show_job),
        ApiRoute("/jobs", list_all_jobs),
        ApiRoute("/keys/revoke", revoke_key, method="POST", takes_token=False),
    ],
    beside=COMPATIBLE,
)
MAX_BODY_BYTES = 64 * 1024


class Application(Starlette):
    """Starlette with our error middleware alone: each of its own two would wrap every message of every answer."""

    services: Services

    def build_middleware_stack(self) -> ASGIApp:
        """Return the routes behind our middleware alone. Called by Starlette, which would add its own."""
        return _wrapped(self.router, self.user_middleware)


def build_gate(services: Services, write_request_line: WriteLine = write_line) -> Gate:
    """Return what the server asks which requests are shed, and the application lets the others begin by."""
    return Gate(
        routes=ROUTES,
        monotonic=services.clock.monotonic,
        observer=services.metrics,
        request_log=_request_log(services, write_request_line),
    )


def create_app(
    services: Services,
    gate: Gate | None = None,
    *,
    page_timings: "PageTimings | None" = None,
) -> Application:
    """Return the ASGI application, whose lifespan opens and closes `services`.

    `gate` is the server's; without one nothing is shed.
    """
    admitting = gate or build_gate(services)
    check = _key_check(services, admitting.known_keys)
    admitting.early_refusals = _early_refusals(services, check, admitting.request_log)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with services.serving():
            yield waiting_state(services.syncs.watcher.stop)
        admitting.early_responses.tell()

    app = Application(
        lifespan=lifespan,
        middleware=[
            Middleware(AdmissionMiddleware, gate=admitting),
            Middleware(RequestLogMiddleware, request_log=admitting.request_log),
            Middleware(ErrorMiddleware, is_installed=is_installed),
            Middleware(ApiMount, routes=ROUTES, **_entrances(_api(services, check))),
        ],
        routes=_routes(services, admitting, page_timings),
    )
    app.router.redirect_slashes = False
    app.services = services
    return app


def _key_check(services: Services, known_keys: KnownKeys) -> KeyCheck:
    return KeyCheck(
        directory=services.store.api_keys,
        calls=services.store.usage,
        callers=services.store.key_callers,
        clock=services.clock,
        throttle=AuthThrottle(longest_wait=services.timings.auth.lookup_wait),
        known_keys=known_keys,
    )


def _early_refusals(services: Services, check: KeyCheck, request_log: RequestLog) -> EarlyRefusals:
    # What several gateways count together takes time to ask for.
    limiter = None if isinstance(services.limiter, SharedLimiter) else services.limiter
    return EarlyRefusals(routes=ROUTES, check=check, limiter=limiter, request_log=request_log)


def _request_log(services: Services, write_line: WriteLine) -> RequestLog:
    # Request ids tell requests apart and guard nothing; asking the system for each would cost more than all else.
    numbers = random.Random()  # noqa: S311 - see above
    return RequestLog(
        new_id=lambda: f"{numbers.getrandbits(64):016x}",
        observer=services.metrics,
        failures=services.store.usage,
        write_line=write_line,
        tracing=services.tracing,
    )


def _routes(services: Services, gate: Gate, page_timings: "PageTimings | None") -> list[BaseRoute]:
    """Return the routes of all that is not the API."""
    return [
        Route("/openapi.json", show_openapi),
        # HAProxy's "option httpchk" asks by OPTIONS unless told otherwise.
        Route("/healthz", show_health, methods=["GET", "OPTIONS"]),
        Route("/readyz", show_readiness, methods=["GET", "OPTIONS"]),
        Route("/metrics", show_metrics),
        LazyMount(("/docs", "/dashboard", "/llms.txt"), lambda: _pages(services, gate, page_timings)),
    ]


def _pages(services: Services, gate: Gate, timings: "PageTimings | None") -> ASGIApp:
    # Imported when a page is first asked for.
    from gateway.dashboard.app import create_pages  # noqa: PLC0415 - see above
    from gateway.dashboard.timings import PageTimings  # noqa: PLC0415 - see above

    return create_pages(services, timings or PageTimings(), gate.wait_to_render)


def _wrapped(app: ASGIApp, layers: Sequence[Middleware]) -> ASGIApp:
    """Wrap `app` in `layers`, of which the first is outermost."""
    for layer, args, options in reversed(layers):
        app = layer(app, *args, **options)
    return app


def _api(services: Services, check: KeyCheck) -> ASGIApp:
    return _wrapped(
        ApiRouter(),
        [
            Middleware(BodyLimitMiddleware, max_body_bytes=MAX_BODY_BYTES),
            Middleware(AuthenticationMiddleware, check=check),
            _rate_limit(services),
        ],
    )


def _entrances(api: ASGIApp) -> Mapping[str, Any]:
    """Return the API for callers with a key, and what they come in by who have it in the body, or need none."""
    reader = _wrapped(
        api, [Middleware(BodyLimitMiddleware, max_body_bytes=MAX_BODY_BYTES), Middleware(CredentialsReader)]
    )
    return {"api": api, "others": {"credentials": reader, "open": ApiRouter()}}


def _rate_limit(services: Services) -> Middleware:
    if isinstance(services.limiter, SharedLimiter):
        return Middleware(SharedRateLimitMiddleware, limiter=services.limiter, is_free=takes_no_token)
    return Middleware(RateLimitMiddleware, limiter=services.limiter, is_free=takes_no_token)
