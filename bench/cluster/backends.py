"""A real PostgreSQL, which keeps what it has committed, and a real Valkey or Redis; and what each was asked so far."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.settings.secret import SecretUrl
from tests.postgres import PostgresServer, postgres_server
from tests.valkey import ValkeyServer, operator, running_valkey

NANOSECONDS = 1e9
DURABLE = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")
"""The tests' servers forget them; what a commit costs is measured here."""
COUNTED = "shared_preload_libraries = 'pg_stat_statements'"
STATEMENTS = """
SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '{name}')
"""
PROCESSES = """
SELECT string_agg(pid::text, ' ') FROM pg_stat_activity
WHERE application_name = 'airbyte-client-gateway' OR backend_type NOT IN ('client backend', 'autovacuum worker')
"""
"""Those that work for gateways and last; who asks this is none of them."""
AT_ONCE = -15
SHARED_BUFFERS = "256MB"


def missing_backends() -> list[str]:
    """Return Debian packages without which no cluster can be started."""
    has_postgres = any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb")
    has_valkey = shutil.which("valkey-server") or shutil.which("redis-server")
    return [
        *([] if has_postgres else ["postgresql"]),
        *([] if has_valkey else ["redis-server"]),
    ]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return what all threads of these processes have computed so far."""
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / NANOSECONDS


@dataclass(frozen=True)
class Backends:
    """What gateways share."""

    postgres: PostgresServer
    valkey: ValkeyServer

    def statements(self, url: SecretUrl) -> int:
        """Return how many statements this database was asked for so far."""
        name = url.reveal().rpartition("/")[2]
        ((count,),) = self.postgres.ask(STATEMENTS.format(name=name))
        return int(str(count))

    def postgres_cpu(self) -> float:
        ((pids,),) = self.postgres.ask(PROCESSES)
        return cpu_seconds(map(int, str(pids).split()))

    def valkey_cpu(self) -> float:
        return cpu_seconds([self.valkey.process.pid])

    def scripts(self) -> int:
        """Return how many scripts Valkey ran so far; what a script does inside is no call."""
        with operator(self.valkey) as redis:
            found = redis.info("commandstats")
        return int(found.get("cmdstat_evalsha", {"calls": 0})["calls"])

    def valkey_bytes(self) -> int:
        with operator(self.valkey) as redis:
            return int(redis.info("memory")["used_memory"])

    def buckets(self, number: int) -> int:
        """Return how many buckets are kept in Valkey's database of this number."""
        with operator(self.valkey) as redis:
            found = redis.info("keyspace")
        return int(found.get(f"db{number}", {"keys": 0})["keys"])

    def written_bytes(self) -> int:
        """Return the bytes written to PostgreSQL's log of what is to be committed."""
        ((count,),) = self.postgres.ask("SELECT pg_current_wal_lsn() - '0/0'")
        return int(str(count))


@contextmanager
def running_backends(folder: Path) -> Iterator[Backends]:
    folder.mkdir()
    with postgres_server() as postgres, running_valkey(folder) as valkey:
        for name in DURABLE:
            postgres.ask(f"ALTER SYSTEM SET {name} = on")
        postgres.ask(f"ALTER SYSTEM SET shared_buffers = '{SHARED_BUFFERS}'")
        postgres.ask(f"ALTER SYSTEM SET {COUNTED}")
        postgres.stop()
        postgres.start()
        postgres.ask("CREATE EXTENSION pg_stat_statements")
        with suppress(PermissionError):
            # On a machine of its own it would not wait for the load's program.
            os.setpriority(os.PRIO_PROCESS, valkey.process.pid, AT_ONCE)
        yield Backends(postgres, valkey)
