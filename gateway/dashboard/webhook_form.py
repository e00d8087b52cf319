"""The form of a webhook: where it leads, and the events and connections that are ticked; none ticked means all."""

from collections.abc import Iterable

import msgspec

from gateway.dashboard.forms import Form
from gateway.models import EVENT_TYPES, Connection, Webhook

EVENT_FIELD = "event-"
CONNECTION_FIELD = "connection-"
"""Before an event's type or a connection's id: the names of boxes that are ticked."""
FIELDS = {"event_types": EVENT_TYPES, "event_field": EVENT_FIELD, "connection_field": CONNECTION_FIELD}
"""What the template of the form needs, beside the form."""


class Offer(msgspec.Struct, frozen=True):
    """A connection that can be ticked."""

    id: str
    label: str


def events_of(form: Form) -> list[str]:
    """Return the events that are ticked."""
    return _ticked(form, EVENT_FIELD)


def connections_of(form: Form) -> list[str]:
    """Return the ids of the connections that are ticked."""
    return _ticked(form, CONNECTION_FIELD)


def form_of(webhook: Webhook) -> Form:
    """Return the form as it is filled in for a webhook that is there."""
    ticked = (
        *(f"{EVENT_FIELD}{event}" for event in webhook.events),
        *(f"{CONNECTION_FIELD}{connection_id}" for connection_id in webhook.connections),
    )
    return Form({"url": webhook.url, **dict.fromkeys(ticked, "on")})


def offers(connections: Iterable[Connection], webhook: Webhook) -> list[Offer]:
    """Return the connections that can be ticked, also those that the webhook names and that were removed since.

    Without the last one of them a form would name none, which means all.
    """
    found = [Offer(each.id, each.label) for each in connections]
    there = {each.id for each in found}
    return [*found, *(Offer(each, f"{each} (removed)") for each in webhook.connections if each not in there)]


def _ticked(form: Form, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name, value in form.items() if name.startswith(prefix) and value]
