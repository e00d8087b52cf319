"""Put the sandbox together: one world, one set of faults, one ASGI application."""

import time
from collections import deque
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from gateway.sandbox.access import Applications, AuthenticationMiddleware
from gateway.sandbox.catalog import Catalog
from gateway.sandbox.config_api import ConfigApiSwitch, ConfigConnections, ConfigJobs
from gateway.sandbox.faults import Faults
from gateway.sandbox.jobs import Jobs
from gateway.sandbox.middleware import (
    CannedAnswerMiddleware,
    DateMiddleware,
    InterferenceMiddleware,
    RecordedRequest,
    RecordingMiddleware,
    TrailingSlashMiddleware,
)
from gateway.sandbox.organization import Organization
from gateway.sandbox.refusals import Refusal, render_refusal
from gateway.sandbox.schedules import Schedules, SchedulesMiddleware
from gateway.sandbox.seed import populate
from gateway.sandbox.system import (
    instance_configuration,
    internal_health,
    nowhere,
    public_health,
    rejected,
    webapp,
)
from gateway.sandbox.tokens import Tokens
from gateway.sandbox.world import World

PUBLIC_API = "/api/public/v1"
CONFIG_API = "/api/v1"
KEPT_REQUESTS = 10_000


class Sandbox:
    """A stand-in Airbyte. Serve `app`; shape `world`; break things with `faults`; look at `requests`.

    Answers carry a `Date` by the sandbox's clock, so a real server in front must not add its own
    (uvicorn: `date_header=False`).
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        seed: int = 1,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - opens nothing but the sandbox
        auth: bool = True,
        empty: bool = False,
        public_url: str = "http://localhost:8001",
    ) -> None:
        self.faults = Faults()
        self._clock = clock
        self.requests: deque[RecordedRequest] = deque(maxlen=KEPT_REQUESTS)
        self.world = World(clock=clock, seed=seed)
        self._tokens = Tokens(clock=clock, seed=seed)
        schedules = Schedules(self.world, clock)
        if not empty:
            populate(self.world, schedules, now=clock(), seed=seed)
        applications = Applications(
            tokens=self._tokens, faults=self.faults, client_id=client_id, client_secret=client_secret
        )
        self.app = Starlette(
            routes=self._routes(applications if auth else None, public_url + PUBLIC_API),
            middleware=[
                Middleware(DateMiddleware, clock=lambda: clock() + self.faults.date_ahead_seconds),
                Middleware(RecordingMiddleware, requests=self.requests),
                Middleware(CannedAnswerMiddleware, faults=self.faults),
                Middleware(SchedulesMiddleware, schedules=schedules),
                Middleware(TrailingSlashMiddleware),
            ],
            exception_handlers={Refusal: render_refusal},
        )
        self.app.router.redirect_slashes = False

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._tokens.revoke()

    def _routes(self, applications: Applications | None, base: str) -> list[BaseRoute]:
        """Return all routes. Without applications there is no authentication, and no token route either."""
        unknown = Mount("", app=rejected if applications else nowhere())
        configuration = instance_configuration("simple" if applications else "none")
        guards: list[Middleware] = []
        tokens: list[BaseRoute] = [Route("/applications/token", nowhere())]
        if applications:
            guards = [Middleware(AuthenticationMiddleware, tokens=self._tokens, faults=self.faults)]
            tokens = [
                Route(f"{PUBLIC_API}/applications/token", applications.public_token, methods=["POST"]),
                Route("/applications/token", applications.public_token, methods=["POST"]),
                Route(f"{CONFIG_API}/applications/token", applications.internal_token, methods=["POST"]),
            ]
        return [
            *tokens,
            Route(f"{PUBLIC_API}/health", public_health),
            Route(f"{CONFIG_API}/health", internal_health),
            Route(f"{CONFIG_API}/instance_configuration", configuration),
            Mount(
                "/api", routes=[self._public_api(base, unknown), self._config_api(unknown), unknown], middleware=guards
            ),
            Mount("", app=webapp),
        ]

    def _public_api(self, base: str, unknown: Mount) -> Mount:
        routes = [
            *Jobs(world=self.world, faults=self.faults, base=base).routes(),
            *Catalog(world=self.world, faults=self.faults, base=base).routes(),
            *Organization(world=self.world, faults=self.faults).routes(),
            unknown,
        ]
        return Mount("/public/v1", routes=routes, middleware=[Middleware(InterferenceMiddleware, faults=self.faults)])

    def _config_api(self, unknown: Mount) -> Mount:
        routes = [
            *ConfigJobs(world=self.world, faults=self.faults, clock=self._clock).routes(),
            *ConfigConnections(world=self.world, faults=self.faults, clock=self._clock).routes(),
            unknown,
        ]
        return Mount("/v1", routes=routes, middleware=[Middleware(ConfigApiSwitch, faults=self.faults)])
