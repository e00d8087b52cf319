"""What a request says of its caller: an address, and what its program calls itself."""

from starlette.types import Scope

from gateway.auth import keys

Origin = tuple[str, bytes]
"""An address, and the beginning of the User-Agent header that came from there."""
LONGEST_AGENT = 200


def client_address(scope: Scope) -> str:
    """Return the caller's address, or that of the proxy in front if none is trusted."""
    client = scope.get("client")
    return client[0] if client else ""


def origin_of(scope: Scope) -> Origin:
    """Return the caller's address and the beginning of what it calls itself, as it came: enough to tell callers."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return client_address(scope), value[:LONGEST_AGENT]
    return client_address(scope), b""


def user_agent(scope: Scope) -> str | None:
    """Return what the caller calls itself: at most 200 printable characters; None for nothing, or for a key."""
    said = next((value for name, value in scope["headers"] if name == b"user-agent"), b"").decode("latin-1")
    agent = "".join(character for character in said if character.isprintable())[:LONGEST_AGENT]
    return None if keys.PREFIX in agent else agent or None
