"""A real PostgreSQL server of this machine's programs, in a temporary folder, and PgBouncer in front of it."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from gateway.settings.secret import SecretUrl
from gateway.store import create_database
from tests.ports import free_port
from tests.programs import required_program
from tests.support import BOUND_SECONDS, PATIENT

USER = "postgres"
"""Of the system: PostgreSQL runs for nobody who may do everything."""
CONFIGURATION = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 300
shared_buffers = 32MB
autovacuum = off
log_statement = none
"""
NO_ROWS = """
DO $$
DECLARE names text;
BEGIN
    SELECT string_agg(tablename, ', ') INTO names FROM pg_tables
    WHERE schemaname = 'public' AND tablename NOT IN ('gateway_schema', 'changes');
    EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY';
END $$;
"""


def programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    return Path(required_program("initdb")).parent


def as_user(*command: str) -> list[str]:
    """As somebody without rights if we have them all; it ends with us, however we end."""
    rights = ["--reuid", USER, "--regid", USER, "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "INT", *rights, *command]


class PostgresServer:
    """One server, and as many databases as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._names: set[str] = set()
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        (self._data / "postgresql.auto.conf").write_text(CONFIGURATION)

    def _run(self, name: str, *arguments: str) -> None:
        command = as_user(str(programs() / name), "-D", str(self._data), *arguments)
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=BOUND_SECONDS)

    def start(self) -> None:
        place = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-k", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                as_user(str(programs() / "postgres"), "-D", str(self._data), *place),
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        wait_until_it_answers(self.url("postgres"))

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        assert self._process
        self._process.send_signal(number)
        self._process.wait(BOUND_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """To all of its processes: one that is stopped alone has others answer for it."""
        assert self._process
        children = subprocess.run(
            [required_program("pgrep"), "-P", str(self._process.pid)],
            capture_output=True,
            text=True,
            check=False,
            timeout=BOUND_SECONDS,
        )
        for process in [self._process.pid, *map(int, children.stdout.split())]:
            os.kill(process, number)

    def url(self, name: str, *, user: str = USER) -> SecretUrl:
        return SecretUrl(f"postgresql://{user}@127.0.0.1:{self.port}/{name}")

    def new_database(self) -> SecretUrl:
        """Three hundred files of its own: for tests that one made empty again would not do for."""
        name = f"gateway_{secrets.token_hex(6)}"
        self.ask(f"CREATE DATABASE {name}")
        return self.url(name)

    def bare(self) -> SecretUrl:
        """A database with nothing in it, the same for each test that asks."""
        return self._kept("bare", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def without_rows(self) -> SecretUrl:
        """A database with our tables and no rows, the same for each test that asks."""
        is_new = "without_rows" not in self._names
        url = self._kept("without_rows", NO_ROWS)
        if is_new:
            asyncio.run(create_database(url, PATIENT))
        return url

    def _kept(self, name: str, emptied: str) -> SecretUrl:
        if name not in self._names:
            self.ask(f"CREATE DATABASE {name}")
            self._names.add(name)
        else:
            self.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            self.ask(emptied, database=name)
        return self.url(name)

    def ask(self, sql: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database).reveal(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


def wait_until_it_answers(url: SecretUrl) -> None:
    end = time.monotonic() + BOUND_SECONDS
    while True:
        try:
            psycopg.connect(url.reveal(), connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.02)
        else:
            return


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    programs()
    folder = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER, USER)
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            # Nothing of it is needed any more: no checkpoint.
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_of(url: SecretUrl, sql: str) -> list[tuple[object, ...]]:
    """What another program sees, or does."""
    with psycopg.connect(url.reveal(), autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def pgbouncer(server: PostgresServer, url: SecretUrl) -> Iterator[SecretUrl]:
    """The way to the database through a pooler in transaction mode."""
    program = required_program("pgbouncer")
    folder, port = Path(tempfile.mkdtemp(prefix="gateway-pgbouncer-")), free_port()
    if os.geteuid() == 0:
        shutil.chown(folder, USER, USER)
    name = url.reveal().rpartition("/")[2]
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users\n"
        f"pool_mode = transaction\ndefault_pool_size = 3\nlogfile = {folder}/log\n"
    )
    (folder / "users").write_text(f'"{USER}" ""\n')
    process = subprocess.Popen(as_user(program, "--quiet", f"{folder}/pgbouncer.ini"), cwd=folder)
    try:
        through = SecretUrl(f"postgresql://{USER}@127.0.0.1:{port}/{name}")
        wait_until_it_answers(through)
        yield through
    finally:
        process.terminate()
        process.wait(BOUND_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
