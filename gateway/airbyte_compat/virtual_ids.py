"""Give each client ids of its own for what it shares with others in Airbyte: workspaces, sources and destinations.

Airbyte's ids of those stay inside: two clients could learn from them that they share one. Ours follow from the
installation and the client, so they need no table and stay what they are on every gateway, after a restart and in a
restored backup. HMAC keeps anybody from computing another client's: the moment it was created takes part, which no
caller learns of others. And an id proves that it is the client's: what was made up or is another's is refused alike,
before Airbyte is asked.
"""

import hmac
import uuid

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.models import Client
from gateway.services import services_of

HALF = 8
"""Bytes of a UUID: the first half names the thing, the second is the proof."""


class VirtualIds:
    """The ids of one client."""

    def __init__(self, installation_id: str, client: Client) -> None:
        self._key = f"{installation_id} {client.id} {client.created_at}".encode()

    @property
    def workspace(self) -> str:
        """The id of the client's one workspace."""
        return self.of("workspace", "")

    def of(self, kind: str, airbyte_id: str) -> str:
        """Return the client's id of a thing of this kind that has an id of Airbyte's."""
        return self._proven(kind, self._digest(kind, airbyte_id.encode()))

    def is_own(self, kind: str, text: str) -> bool:
        """Return whether a text is an id that the client was given for a thing of this kind."""
        try:
            first = uuid.UUID(text).bytes[:HALF]
        except ValueError:
            return False
        return hmac.compare_digest(self._proven(kind, first).encode(), text.encode("utf-8", "replace"))

    def _proven(self, kind: str, first: bytes) -> str:
        """Return a UUID whose second half follows from its first; it has the form of a random one (version 4)."""
        named = uuid.UUID(bytes=first + bytes(HALF), version=4).bytes[:HALF]
        return str(uuid.UUID(bytes=named + self._digest(f"{kind} proof", named), version=4))

    def _digest(self, kind: str, content: bytes) -> bytes:
        return hmac.digest(self._key, kind.encode() + b" " + content, "sha256")[:HALF]


async def virtual_ids_of(request: Request) -> VirtualIds:
    """Return the ids of the request's client. Raises StorageUnavailable."""
    return VirtualIds(await services_of(request).installation_id(), principal_of(request).client)
