"""The timings of all rooms, in one record: a test passes its own."""

import msgspec

from gateway.airbyte import AirbyteTimings
from gateway.auth.timings import AuthTimings
from gateway.cluster.timings import ClusterTimings
from gateway.notices.timings import NoticeTimings
from gateway.provisioning.timings import DiscoveryTimings
from gateway.store.timings import RetentionTimings, StoreTimings
from gateway.syncs.timings import SyncTimings
from gateway.telemetry.timings import TelemetryTimings
from gateway.webhooks.timings import WebhookTimings


class Timings(msgspec.Struct, frozen=True):
    """The timings of all rooms below, and of what this one does itself. Seconds."""

    airbyte: AirbyteTimings = AirbyteTimings()
    auth: AuthTimings = AuthTimings()
    cluster: ClusterTimings = ClusterTimings()
    discovery: DiscoveryTimings = DiscoveryTimings()
    notices: NoticeTimings = NoticeTimings()
    retention: RetentionTimings = RetentionTimings()
    store: StoreTimings = StoreTimings()
    syncs: SyncTimings = SyncTimings()
    telemetry: TelemetryTimings = TelemetryTimings()
    webhooks: WebhookTimings = WebhookTimings()
    file_check: float = 30.0
    """Between two looks whether the program's own files are there still."""
