"""What the application is called with: the ASGI scope of a request whose head has come in."""

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.web.server.request_head import split_target

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope


def scope_of(connection: HttpToolsProtocol, version: str) -> "HTTPScope":
    """Return the scope of the request whose head has come in. Raises BadRequest."""
    path, raw_path, query = split_target(connection.url)
    return {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
        "http_version": version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme or "http",
        "root_path": "",
        "headers": connection.headers,
        "state": connection.app_state.copy(),
        "method": connection.parser.get_method().decode("ascii"),
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
    }
