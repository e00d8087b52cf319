"""What a client asks for when it triggers a sync."""

import msgspec

from gateway.models import Client


class TriggerRequest(msgspec.Struct, frozen=True):
    """A sync of one of the client's connections. `caller` is the id of the key or the user who asks."""

    client: Client
    connection_id: str
    airbyte_id: str
    caller: str
    request_id: str
