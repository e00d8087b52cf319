"""What a client asks for when it triggers a sync, and what it gets."""

import msgspec

from gateway.models import Client, Job, TriggeredJob


class TriggerRequest(msgspec.Struct, frozen=True):
    """A sync of one of the client's connections. `caller` is the id of the key or the user who asks."""

    client: Client
    connection_id: str
    airbyte_id: str
    caller: str
    request_id: str


class Triggered(msgspec.Struct, frozen=True):
    """The job of a trigger: under way, or begun, after all callers came that came until `serves_until`, monotonic.

    For a caller who comes later the job may have ended before.
    """

    job: Job
    serves_until: float
    was_joined: bool
    """Whether the job was there already, begun by somebody else."""


class StartedSync(msgspec.Struct, frozen=True):
    """What a caller of the trigger gets; `was_joined` as above, `row` is all that Airbyte told of the job."""

    job: TriggeredJob
    was_joined: bool
    row: Job
