"""All SQL, and the only user of the databases' drivers. `Store` has a collaborator for each kind of record."""

from gateway.store.backup import Backup, back_up
from gateway.store.bulk import Snapshot
from gateway.store.changes import Changes
from gateway.store.migration import Migrated, Step, is_outdated, migrate, read_steps
from gateway.store.postgres.server import back_up_server, migrate_server, move_to_server, restore_server
from gateway.store.sqlite.database import journal_mode
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.restoration import restoration
from gateway.store.store import DatabasePlace, Store, create_database
from gateway.store.tables.connections import ConnectionsOfClient
from gateway.store.tables.gateways import LiveGateway
from gateway.store.tables.last_syncs import LastSync
from gateway.store.tables.leases import LeaseState
from gateway.store.tables.links import Link, Purpose
from gateway.store.tables.triggers import Intent, Outcome, TriggerUnderWay, Unresolved
from gateway.store.tables.users import Credentials
from gateway.store.timings import LIVE_SECONDS

__all__ = [
    "LIVE_SECONDS",
    "SCHEMA_VERSION",
    "Backup",
    "Changes",
    "ConnectionsOfClient",
    "Contents",
    "Credentials",
    "DatabasePlace",
    "Intent",
    "LastSync",
    "LeaseState",
    "Link",
    "LiveGateway",
    "Migrated",
    "Outcome",
    "Purpose",
    "Snapshot",
    "Step",
    "Store",
    "TriggerUnderWay",
    "Unresolved",
    "back_up",
    "back_up_server",
    "create_database",
    "instance_lock",
    "is_outdated",
    "journal_mode",
    "migrate",
    "migrate_server",
    "move_to_server",
    "read_steps",
    "restoration",
    "restore_server",
]
