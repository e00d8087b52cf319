"""A mail server for tests: real SMTP on a real port, and what it was given."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support import BOUND_SECONDS

USER, PASSWORD = "gateway@example.com", "s3cret&word"
HOST = "127.0.0.2"


class Inbox:
    """What a server was given."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.was_tls: list[bool] = []
        self.refused = ""
        self.nobody = ""
        """An address that it refuses."""
        self.silent_end: asyncio.Event | None = None
        """What it waits for before it answers QUIT."""

    def texts(self) -> list[str]:
        """Return the texts of the messages, as their readers see them."""
        return [text_of(envelope) for envelope in self.envelopes]

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refused:
            return self.refused
        self.envelopes.append(envelope)
        self.was_tls.append(session.ssl is not None)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address == self.nobody:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.silent_end is not None:
            await self.silent_end.wait()
        return "221 Bye"


def text_of(envelope: Envelope) -> str:
    """Return the text of a message, as a reader sees it."""
    return str(message_from_bytes(envelope.original_content or b"", policy=default).get_content())


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    is_right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def mail_server(
    inbox: Inbox, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on 127.0.0.2, and give the port."""
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            inbox,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=authenticate,
            auth_required=starttls is not None,
            auth_require_tls=True,
            loop=loop,
        )

    server = await loop.create_server(protocol, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@contextmanager
def mail_server_on_a_thread(inbox: Inbox) -> Iterator[str]:
    """Serve beside a test that blocks, and give the address as the settings take it."""
    ports: list[int] = []
    is_up, loop = threading.Event(), asyncio.new_event_loop()
    is_over = asyncio.Event()

    async def serve() -> None:
        async with mail_server(inbox) as port:
            ports.append(port)
            is_up.set()
            await is_over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert is_up.wait(BOUND_SECONDS)
        yield f"smtp://{HOST}:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join(BOUND_SECONDS)
        loop.close()
