"""Answer the callers of an inherited listener while the gateway cannot start.

The listener is the supervisor's and stays open, so callers would wait there for a gateway that does not come. A process
that could not start answers them for some seconds instead, and ends. Its supervisor then tries again.
"""

import asyncio
import secrets
import socket
from contextlib import suppress

from gateway.errors import OperatorError, Overloaded
from gateway.web.compatible_paths import form_of
from gateway.web.responses import raw_error_answer
from gateway.web.server.listener import BACKLOG
from gateway.web.server.request_head import told_path
from gateway.web.server.sd_notify import Supervision, inherited_listener
from gateway.web.timings import NotStartedTimings

END_OF_HEAD = b"\r\n\r\n"
CHUNK = 65_536
NOT_STARTED_TIMINGS = NotStartedTimings()


def answer_not_started(supervision: Supervision, timings: NotStartedTimings = NOT_STARTED_TIMINGS) -> None:
    """Answer each caller 503 for some seconds. Do nothing without an inherited listener, or with an unfit one."""
    if not supervision.listeners:
        return
    with suppress(OperatorError), inherited_listener(supervision.listeners) as listener:
        asyncio.run(_answer_all(listener, timings))


async def _answer_all(listener: socket.socket, timings: NotStartedTimings) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(timings.head):
                head = await reader.readuntil(END_OF_HEAD)
        with suppress(TimeoutError, OSError):
            writer.write(_answer(head, retry_after=round(timings.answering)))
            writer.write_eof()
            async with asyncio.timeout(timings.lingering):
                while await reader.read(CHUNK):
                    pass
        writer.close()

    async with await asyncio.start_server(answer, sock=listener, backlog=BACKLOG):
        await asyncio.sleep(timings.answering)


def _answer(head: bytes, *, retry_after: int) -> bytes:
    """Return the answer, with an id of its own as every answer has, in the form that the path asks for."""
    request_id = secrets.token_hex(16).encode("ascii")
    method, target, *_ = [*head.decode("latin-1").partition("\r\n")[0].split(" "), ""]
    return raw_error_answer(
        Overloaded("Service is not running", retry_after=retry_after),
        [(b"x-request-id", request_id)],
        form=form_of(method, told_path(target.encode("latin-1"))),
    )
