"""All SQL, and the only user of aiosqlite. `Store` has a collaborator for each kind of record."""

from gateway.store.backup import Backup, back_up
from gateway.store.bulk import Changes, Snapshot
from gateway.store.connections import ConnectionsOfClient, LastSync
from gateway.store.database import create_database, journal_mode
from gateway.store.instance_lock import instance_lock
from gateway.store.migration import Migrated, Step, is_outdated, migrate, read_steps
from gateway.store.online_copy import Contents
from gateway.store.restoration import restoration
from gateway.store.store import Store
from gateway.store.triggers import Intent, Unresolved
from gateway.store.users import Credentials, Link, Purpose

__all__ = [
    "Backup",
    "Changes",
    "ConnectionsOfClient",
    "Contents",
    "Credentials",
    "Intent",
    "LastSync",
    "Link",
    "Migrated",
    "Purpose",
    "Snapshot",
    "Step",
    "Store",
    "Unresolved",
    "back_up",
    "create_database",
    "instance_lock",
    "is_outdated",
    "journal_mode",
    "migrate",
    "read_steps",
    "restoration",
]
