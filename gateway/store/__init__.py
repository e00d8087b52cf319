"""All SQL, and the only user of the databases' drivers. `Store` has a collaborator for each kind of record.

What operators do with a whole database is imported from its own module: `backup`, `migration`, `postgres.server`,
`sqlite.restoration`.
"""

from gateway.store.store import DatabaseLocation, Store, create_database
from gateway.store.tables.activity import ActivityFilter, Found
from gateway.store.tables.cancellations import CancelWish, OpenWish
from gateway.store.tables.deliveries import ClaimedDelivery, DueDelivery
from gateway.store.tables.delivery_attempts import DeliveryAttempt
from gateway.store.tables.events import NewEvent
from gateway.store.tables.excerpts import Excerpt
from gateway.store.tables.key_events import key_event
from gateway.store.tables.last_syncs import LastSync
from gateway.store.tables.links import Link, Purpose
from gateway.store.tables.recent_syncs import KEPT_RECENT, EndedSync, end_of
from gateway.store.tables.second_factors import Proof, RecoveryCode, TimeCode
from gateway.store.tables.statuses import ToldStatus
from gateway.store.tables.triggers import Intent, Outcome, TriggerUnderWay, Unresolved
from gateway.store.tables.users import Credentials

__all__ = [
    "KEPT_RECENT",
    "ActivityFilter",
    "CancelWish",
    "ClaimedDelivery",
    "Credentials",
    "DatabaseLocation",
    "DeliveryAttempt",
    "DueDelivery",
    "EndedSync",
    "Excerpt",
    "Found",
    "Intent",
    "LastSync",
    "Link",
    "NewEvent",
    "OpenWish",
    "Outcome",
    "Proof",
    "Purpose",
    "RecoveryCode",
    "Store",
    "TimeCode",
    "ToldStatus",
    "TriggerUnderWay",
    "Unresolved",
    "create_database",
    "end_of",
    "key_event",
]
