"""Decide which requests are shed because they could not be answered soon, and when the others begin.

Without it an overload outlives its cause: all wait, all give up, and answers are computed for nobody. Callers whose key
was good when last used come first; all others share a part of each round and are shed first.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from gateway.auth.guess_throttle import block_of
from gateway.errors import Overloaded, Unauthorized
from gateway.web.admission_queue import AdmissionQueue, RequestClass
from gateway.web.compatible_paths import ErrorForm, form_of
from gateway.web.credentials import KnownKeys, digest_of
from gateway.web.early_refusals import EarlyRefusals
from gateway.web.early_responses import HEALTH_PATH, EarlyResponses, ResponseObserver
from gateway.web.fair_share import Group
from gateway.web.middleware.request_log import RequestLog
from gateway.web.responses import Headers
from gateway.web.router import ApiRoutes
from gateway.web.server.request_head import has_content
from gateway.web.timings import AdmissionTimings

PATIENCE = 2
"""Calls that start or end something are few and matter most: they are shed at twice the wait, whatever reads do."""
PROBE_PATHS = frozenset({HEALTH_PATH, "/readyz", "/metrics"})
PROBE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""No other has an answer on those paths."""
PAGES_ROUTE = "/*"
ADMISSION_KEY = "gateway.admission"
"""A request's class and group."""
SHED_KEY = "gateway.shed"

Scope = MutableMapping[str, Any]


class Gate:
    """Says which requests are shed; health and metrics are never, but health may be answered for the application.

    Asked once for each request, by its socket connection, as soon as the head has come in: before the request has cost
    more than its parsing.
    """

    def __init__(
        self,
        *,
        routes: ApiRoutes,
        monotonic: Callable[[], float],
        observer: ResponseObserver,
        request_log: RequestLog,
        known_keys: KnownKeys | None = None,
        timings: AdmissionTimings | None = None,
    ) -> None:
        granted = timings or AdmissionTimings()
        self.known = RequestClass(granted.known)
        self.free = RequestClass(granted.free)
        self.probes = RequestClass(granted.probes)
        self.others = RequestClass(granted.others)
        self.renders = RequestClass(granted.renders)
        classes = (self.known, self.free, self.probes, self.others, self.renders)
        self.queue = AdmissionQueue(monotonic, *classes, shared_seconds=granted.shared)
        self.known_keys = known_keys or KnownKeys()
        self.request_log = request_log
        self.early_responses = EarlyResponses(observer, request_log)
        self.early_refusals: EarlyRefusals | None = None
        """The application's, which alone knows whom it refuses."""
        self._routes = routes
        self._all_routes = f"{routes.prefix}/*"
        self._observer = observer

    def sheds(self, scope: Scope) -> bool:
        """Return whether a request is to be refused now. It is counted either way: as shed, or as on its way."""
        request_class, group = scope[ADMISSION_KEY] = self._classify(scope)
        if request_class.is_short or request_class.has_room(group, self._patience(scope)):
            self.queue.expect(request_class, group)
            return False
        scope[SHED_KEY] = True
        route = self._all_routes if self._routes.covers(scope["path"]) else PAGES_ROUTE
        self._observer.observe(scope["method"], route, Overloaded.status, 0.0)
        self._observer.count_shed("known" if request_class is self.known else "unauthenticated")
        return True

    def early_refusal(self, scope: Scope, default_headers: Headers) -> bytes | None:
        """Return the whole answer to a request that is not shed; None unless it is refused, and its turn has come.

        So it is no quicker than one that the application refuses, and counts as begun like that.
        """
        request_class, group = scope[ADMISSION_KEY]
        if self.early_refusals is None or not request_class.has_turn:
            return None
        answer = self.early_refusals.answer(scope, default_headers)
        if answer is not None:
            self.queue.join(request_class, group)
        return answer

    def is_refusal_likely(self, scope: Scope) -> bool:
        """Return whether it is worth to ask for an early refusal."""
        return self.early_refusals is not None and self.early_refusals.is_likely(scope)

    def note_answered(self, scope: Scope) -> None:
        """Learn from how the application answered."""
        if self.early_refusals is not None:
            self.early_refusals.note(scope)

    def has_ready_answer(self, scope: Scope) -> bool:
        """Return whether the application need not be asked, because so many probes wait that it is seen to be alive.

        One more of them would only tell an orchestrator that there is much to do.
        """
        return scope["path"] == HEALTH_PATH and scope["method"] in PROBE_METHODS and not self.probes.is_short

    def is_shed(self, scope: Scope) -> bool:
        """Return whether it was decided that the request is shed, and its socket connection could not answer it."""
        return SHED_KEY in scope

    def is_known(self, scope: Scope) -> bool:
        """Return whether the request, which was asked about, comes with a key that was good when last used."""
        request_class, _ = scope[ADMISSION_KEY]
        return request_class is self.known or request_class is self.free

    def join(self, scope: Scope) -> asyncio.Future[None] | None:
        """Return None if the request may begin, else what it has to wait for."""
        request_class, group = scope.get(ADMISSION_KEY) or self._classify(scope)
        return self.queue.join(request_class, group)

    async def wait_to_render(self, user_id: str) -> None:
        """Wait until a page of the user may be rendered, after what was read for it: users take turns."""
        waiter = self.queue.join(self.renders, user_id)
        if waiter is not None:
            await waiter

    def form_of(self, scope: Scope) -> ErrorForm:
        """Return how the caller wants to be told of an error: on a page, if a person is to read the answer."""
        if not self._routes.covers(scope["path"]):
            is_page = any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
            return "page" if is_page else "own"
        return form_of(scope["method"], scope["path"])

    def _classify(self, scope: Scope) -> tuple[RequestClass, Group]:
        path = scope["path"]
        if self._routes.covers(path):
            client_id = self._client_of(scope)
            if client_id is not None:
                # With content a call may be refused for it, and the key lives on: there may be any number of those.
                is_free = self._routes.is_free(scope) and not has_content(scope["headers"])
                return self.free if is_free else self.known, client_id
        client = scope.get("client")
        block = block_of(client[0]) if client else ""
        if path in PROBE_PATHS and scope["method"] in PROBE_METHODS:
            # Each path in its own turn: who asks for a dear one may share the prober's address.
            return self.probes, f"{path} {block}"
        return self.others, block

    def _client_of(self, scope: Scope) -> int | None:
        try:
            return self.known_keys.client_of(digest_of(scope))
        except Unauthorized:
            return None

    def _patience(self, scope: Scope) -> float:
        path = scope["path"]
        route, _ = self._routes.find(scope["method"], path) if self._routes.covers(path) else (None, {})
        return PATIENCE if route is not None and route.is_patient else 1
