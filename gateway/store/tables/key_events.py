"""What is done with an API key, as an event: it was made, it ends soon, or it was revoked."""

from gateway.models import ApiKey, EventType, KeyRow
from gateway.store.tables.events import NewEvent


def key_event(event_type: EventType, key: ApiKey, *, at: str, subject: str = "") -> NewEvent:
    """Return the event. `subject` tells it from others of its type about the same key."""
    return NewEvent(
        client_id=key.client_id,
        type=event_type,
        subject=f"{key.id} {subject}".rstrip(),
        at=at,
        data=KeyRow(**{name: getattr(key, name) for name in KeyRow.__struct_fields__}),
    )
