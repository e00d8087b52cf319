"""An Airbyte that is an ASGI application in this very process: the demo's sandbox, and that of the tests."""

from typing import Any

import httpx2

from gateway.airbyte.bulkhead import Leave
from gateway.airbyte.call import Fault
from gateway.airbyte.client import Connect
from gateway.airbyte.socket_connection import Received
from gateway.errors import UpstreamInvalid


class InProcessCarrier:
    """Carries requests to an application as they would stand on the wire; it stays usable."""

    is_usable = True

    def __init__(self, app: Any) -> None:
        self._transport = httpx2.ASGITransport(app=app)

    async def exchange(self, request: bytes, *, max_bytes: int, leave: Leave | None = None) -> Received:  # noqa: ARG002 - a cancelled application is done
        """Return the application's answer, its body not larger than `max_bytes`. Raises Fault."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        method, target, _ = line.split(b" ")
        headers = [(name, value) for name, _, value in (field.partition(b": ") for field in fields)]
        host = dict(headers)[b"Host"].decode("ascii")
        url = httpx2.URL(f"http://{host}").copy_with(raw_path=target)
        answer = await self._transport.handle_async_request(
            httpx2.Request(method.decode("ascii"), url, headers=headers, content=body)
        )
        content = await answer.aread()
        if len(content) > max_bytes:
            raise Fault(UpstreamInvalid(detail=f"an answer of more than {max_bytes} bytes"), transient=False)
        values = {name.lower(): value.decode("latin-1") for name, value in answer.headers.raw}
        return Received(answer.status_code, values, content)

    def close(self) -> None:
        """Do nothing: an application ends with its process."""


def in_process(app: Any) -> Connect:
    """Return what stands in for the network to Airbyte: connections to the application."""

    async def connect() -> InProcessCarrier:
        return InProcessCarrier(app)

    return connect
