"""Airbyte's public API on a raw socket, with a fault for each route on demand and an exact log of what came in.

The work of a request (a job created) is done before its fault, unless `works` is False.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from tests.faults.fault import Connection, Exchange, Fault, Received, answer_right, head_of
from tests.ports import free_port

WORKSPACE = "5ec4e7aa-0000-4000-8000-000000000001"


@dataclass
class _Switch:
    fault: Fault
    times: float
    works: bool
    when: Callable[[Received], bool]


@dataclass
class FaultServer:
    """Use `switch` to turn a fault on, `heal` to turn all off. Its clock is `now`."""

    now: Callable[[], datetime]
    port: int = 0
    token: str = "tok3n-planted"
    token_answer: dict[str, Any] = field(default_factory=lambda: {"token_type": "Bearer", "expires_in": 900})
    extra_fields: tuple[str, ...] = ()
    date: str | None = None
    filters: bool = True
    refuses_tls: bool = True
    anonymous: bool = False
    answers_about: str | None = None
    connections: list[Connection] = field(default_factory=list)
    open_connections: set[Connection] = field(default_factory=set)
    exchanges: int = 0
    jobs: list[dict[str, Any]] = field(default_factory=list)
    cut_post_after: int | None = None
    on_request: asyncio.Event = field(default_factory=asyncio.Event)
    _switches: dict[str, _Switch] = field(default_factory=dict)
    _server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        # Started again, it has the same.
        self.port = self.port or free_port()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, ssl=tls)

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self.open_connections]
        for connection in list(self.open_connections):
            connection.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def drop_idle(self) -> None:
        """Close every connection, as a server does with idle ones."""
        for connection in list(self.open_connections):
            connection.transport.close()

    def switch(
        self,
        route: str,
        fault: Fault,
        *,
        times: float = float("inf"),
        works: bool = True,
        when: Callable[[Received], bool] = lambda _: True,
    ) -> None:
        """Answer the next `times` requests of `route` for which `when` holds with `fault`."""
        self._switches[route] = _Switch(fault, times, works, when)

    def heal(self) -> None:
        """Behave well from now on. What hung has ended, as when Airbyte is started anew."""
        for connection in self.open_connections:
            if connection.is_silent:
                connection.transport.close()
        self._switches.clear()
        self.cut_post_after = None

    @property
    def requests(self) -> list[Received]:
        return [request for connection in self.connections for request in connection.requests]

    def count(self, route: str) -> int:
        return sum(request.route == route for request in self.requests)

    def forget(self) -> None:
        """Empty the log."""
        for connection in self.connections:
            connection.requests.clear()
            connection.received.clear()
        self.exchanges = 0

    def finish_jobs(self) -> None:
        for job in self.jobs:
            job["status"] = "succeeded"

    def add_job(self, connection_id: str, **values: Any) -> dict[str, Any]:
        job = {
            "jobId": len(self.jobs) + 1,
            "status": "running",
            "jobType": "sync",
            "connectionId": connection_id,
            "startTime": self.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            **values,
        }
        self.jobs.append(job)
        return job

    def right_answer(self, request: Received) -> tuple[int, Any]:
        """Status and JSON body, the work done."""
        if request.route == "token":
            return 200, {"access_token": self.token, **self.token_answer}
        if not self.anonymous and request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"message": "Unauthorized"}
        if request.route == "trigger":
            job = self.add_job(json.loads(request.body)["connectionId"])
            return 200, {**job, "connectionId": self.answers_about or job["connectionId"]}
        if request.route == "jobs":
            wanted = request.query("connectionId")
            since = request.query("updatedAtStart")
            rows = [
                job
                for job in reversed(self.jobs)
                if (wanted in {"", job["connectionId"]} or not self.filters) and job["startTime"] >= since
            ]
            return 200, {"data": rows[: int(request.query("limit"))], "next": "", "previous": ""}
        connection_id = urlsplit(request.target).path.split("/")[-1]
        return 200, {
            "connectionId": connection_id,
            "name": "Shop",
            "sourceId": WORKSPACE,
            "workspaceId": WORKSPACE,
            "status": "active",
        }

    async def talk(self, connection: Connection) -> None:
        while True:
            request = await connection.receive()
            self.on_request.set()
            switch = self._take_switch(request)
            status, content = self.right_answer(request) if switch is None or switch.works else (200, {})
            body = json.dumps(content, separators=(",", ":")).encode()
            fields = ["Content-Type: application/json", f"Content-Length: {len(body)}", *self.extra_fields]
            head = head_of(status, f"Date: {self.date or format_datetime(self.now(), usegmt=True)}", *fields)
            await (answer_right if switch is None else switch.fault)(Exchange(request, connection, head, body))

    def _take_switch(self, request: Received) -> _Switch | None:
        switch = self._switches.get(request.route)
        if switch is None or switch.times <= 0 or not switch.when(request):
            return None
        switch.times -= 1
        return switch
