"""All SQL, and the only user of aiosqlite. `Store` has a collaborator for each kind of record."""

from gateway.store.connections import ConnectionsOfClient, LastSync
from gateway.store.database import create_database, journal_mode
from gateway.store.instance_lock import instance_lock
from gateway.store.store import Store
from gateway.store.triggers import Intent, Unresolved
from gateway.store.users import Credentials, Link, Purpose

__all__ = [
    "ConnectionsOfClient",
    "Credentials",
    "Intent",
    "LastSync",
    "Link",
    "Purpose",
    "Store",
    "Unresolved",
    "create_database",
    "instance_lock",
    "journal_mode",
]
