"""Faults to switch on: everything Airbyte, its proxies and its operators are known to do to a client."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, Self

from starlette.responses import Response

Match = Callable[[str, str], bool]
ConfigApi = Literal["as usual", "absent", "forbidden", "other shape"]


def _anything(method: str, path: str) -> bool:  # noqa: ARG001 - the shape of a match
    return True


@dataclass(frozen=True, slots=True)
class Answer:
    """A canned answer, sent instead of the real one."""

    status: int
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    body: bytes = b""

    @classmethod
    def html(cls, status: int) -> Self:
        """Return an error page as nginx or a load balancer sends it."""
        title = f"{status} {HTTPStatus(status).phrase}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return cls(status, (("content-type", "text/html"),), page.encode())

    def response(self) -> Response:
        """Return it as Starlette sends it."""
        return Response(self.body, status_code=self.status, headers=dict(self.headers))


@dataclass(slots=True)
class Faults:
    """All faults, all off. Set an attribute to switch one on, set it back to switch it off.

    A delay or a hang holds back the answer of the jobs, connections, sources, destinations and workspaces
    routes *after* the work is done: a job exists although its client has given up waiting.
    """

    post_delay_seconds: float = 0.0
    get_delay_seconds: float = 0.0
    post_hang: asyncio.Event | None = None  # held back until the event is set
    get_hang: asyncio.Event | None = None
    post_answer: Answer | None = None  # the job is created, but this is what the client sees
    state_conflict_after_signal: float | None = None  # POST says 409; a job appears so many seconds later
    capacity_exhausted: bool = False  # triggered jobs are `queued`
    config_api: ConfigApi = "as usual"
    config_api_hang: asyncio.Event | None = None  # answers of the Config API are held back until the event is set
    foreign_rows: int = 0  # so many jobs of other connections slip into every page of jobs
    unordered: bool = False  # lists of connections and sources change their order with each request
    user_mode: bool = False  # the credential belongs to an ordinary user: unknown ids are 403
    legacy: bool = False  # Airbyte 0.50: any orderBy is a 500
    date_ahead_seconds: float = 0.0  # a proxy dates the answers, by a clock of its own
    rate_limited: bool = False  # 429 without Retry-After
    unauthorized: int = 0  # so many further requests are 401 although their token is good
    wrong_credentials: Literal[400, 401, 500] = 400  # Community, Keycloak, older Keycloak
    token_endpoint_down: bool = False
    token_lifetime_seconds: float = 900.0  # the truth, in the token's `exp`
    token_overrides: dict[str, int | str | None] = field(default_factory=dict)  # None drops the key
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _canned: list[tuple[Match, Answer]] = field(default_factory=list, init=False)

    def answer_with(self, answer: Answer, *, times: int = 1, when: Match = _anything) -> None:
        """Give this answer to the next requests whose method and path match."""
        self._canned += [(when, answer)] * times

    def take_canned(self, method: str, path: str) -> Answer | None:
        """Return the canned answer for this request, if there is one, and forget it."""
        for index, (when, answer) in enumerate(self._canned):
            if when(method, path):
                del self._canned[index]
                return answer
        return None

    def take_unauthorized(self) -> bool:
        """Return whether to refuse this request in spite of its token, and count it."""
        if self.unauthorized <= 0:
            return False
        self.unauthorized -= 1
        return True

    async def hold_back(self, method: str) -> None:
        """Wait as long as the answer to this method has to wait."""
        seconds, hang = {
            "POST": (self.post_delay_seconds, self.post_hang),
            "GET": (self.get_delay_seconds, self.get_hang),
        }.get(method, (0.0, None))
        if seconds > 0:
            await self.sleep(seconds)
        if hang is not None:
            await hang.wait()
