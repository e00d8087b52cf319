"""README.md and docs/ as pasted: every command is run on a new machine, or has a reason why not."""

import re
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from tests.machine.conftest import ROOT, Machine
from tests.machine.pages import NOT_RUN, PAGES, commands, names
from tests.programs import required_program

WHEELS = "build/pages"
TRANSCRIPT = "build/pages.txt"
"""What was typed, page after page, and what the machine said to it. Left behind for whoever wants to read it."""
SECONDS = 300.0
"""For a command: pip installs, and the machine may be busy."""
SANDBOX = "PYTHONPATH=/opt/checkout:/opt/packages setsid python3 -m gateway sandbox --port 8001 >/dev/null 2>&1 &"
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway.example.com "
    "-keyout /etc/ssl/gateway.key -out /etc/ssl/gateway.pem"
)
PASSWORD = "database-password"
SERVERS = """
echo '127.0.0.1 db cache' >>/etc/hosts
install -d -o postgres /run/postgresql /srv/postgres
runuser -u postgres -- sh -c 'cd /srv/postgres && PATH=$(echo /usr/lib/postgresql/*/bin | tr " " :):$PATH &&
    initdb --no-sync --auth-local=peer --auth-host=scram-sha-256 --pgdata=data && pg_ctl start --pgdata=data --log=log'
setsid $(command -v valkey-server || command -v redis-server) --save '' >/dev/null 2>&1 &
"""
"""PostgreSQL and Valkey, as somebody has them who reads of several gateways."""
FILL_IN = """
cd /etc/gateway && echo sandbox-secret >airbyte-client-secret && sed -i settings.toml \\
    -e 's|^base_url = .*|base_url = "http://127.0.0.1:8001/api/public/v1"|' \\
    -e 's|^client_id = .*|client_id = "sandbox-client"|'
"""
COPY = "gateway database copy --to postgresql://gateway@db/gateway"
FILL_IN_CLUSTER = f"""
cd /etc/gateway && echo postgresql://gateway:{PASSWORD}@db/gateway >database-url
chown root:gateway database-url && chmod 640 database-url && cp settings.toml /run/settings.toml
printf '[rate_limit]\\nbackend = "redis://cache:6379/0"\\n' >>settings.toml
for unit in gateway.service gateway@.service; do
    mkdir /etc/systemd/system/$unit.d && cat >/etc/systemd/system/$unit.d/override.conf <<'END'
[Service]
Environment=GATEWAY_DATABASE_URL_FILE=/etc/gateway/database-url
END
done
"""
ALL_SERVE = """
timeout 60 sh -c 'until curl -s http://127.0.0.1:8080/readyz | grep "gateways.:3,.rate_limit.:.shared"
do sleep 1; done'
"""
LEAVE_CLUSTER = f"""
systemctl disable --now gateway@8080.service gateway@8081.service gateway@8082.service
rm -r /etc/systemd/system/gateway*.service.d && systemctl daemon-reload
cat /run/settings.toml >/etc/gateway/settings.toml
runuser -u postgres -- dropdb gateway && runuser -u postgres -- createdb --owner gateway gateway
echo 'db:5432:gateway:gateway:{PASSWORD}' >/root/.pgpass && chmod 600 /root/.pgpass
"""
"""What a page asks the reader to write or shows, after which command. The last ends what the first began: what follows
on the page is for somebody who has no cluster yet."""
WRITTEN_AFTER = {
    "gateway install --systemd": FILL_IN,
    "cd airbyte-client-gateway": FILL_IN_CLUSTER,
    "curl -s http://127.0.0.1:8080/readyz": ALL_SERVE,
    "gateway config | grep database": LEAVE_CLUSTER,
    COPY: "systemctl start gateway.socket gateway.service",
}
ANSWERS = {"gateway restore": "y\n", COPY: "y\n", "runuser -u postgres -- createuser": f"{PASSWORD}\n{PASSWORD}\n"}
STANDS_FOR = {
    "cd airbyte-client-gateway && git pull": "cd /opt/checkout",
    "cd airbyte-client-gateway": "cd /opt/checkout",
}
"""Where a reader's machine has something else."""
WORKSPACE = re.compile(r"in Airbyte's workspace Acme Inc\n.*--workspace ([0-9a-f-]{36})")
KEY = re.compile(r"smrt_\w{36}")
BACKUP = re.compile(r"/var/backups/gateway/gateway-\S+?\.db")
CONNECTION = re.compile(r"conn_\w{16}")
SAMPLES = {CONNECTION: CONNECTION, WORKSPACE: re.compile(r"(?<=--workspace )[0-9a-f-]{36}"), KEY: KEY, BACKUP: BACKUP}
"""What a reader replaces by what his own machine printed last, and how the page shows it."""
NOTHING_PRINTED = "nothing-was-printed"
SHOWN_REFUSALS = ("in use by another gateway; one database is served once",)
"""What a page shows to be refused."""
WITHOUT_INDEX = f"export PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/checkout/{WHEELS}"
FOLDER = "/run/reader-folder"


@dataclass
class Reader:
    """Somebody who follows the pages, and puts what his machine printed in the place of what the page shows."""

    machine: Machine
    folder: str = "/opt/checkout"
    """The README begins in a clone."""
    printed: dict[re.Pattern[str], str] = field(default_factory=dict)
    transcript: list[str] = field(default_factory=list)

    def follow(self, page: str) -> list[str]:
        """Run the page's commands, and return what went wrong."""
        self.transcript.append(f"\n== {page}\n")
        wanted = [command for command in commands(page) if not names(page, command) & NOT_RUN.keys()]
        return [wrong for command in wanted if (wrong := self._run(command))]

    def _run(self, command: str) -> str:
        """Return the command and what it said if it failed, or did not where the page shows that it is refused."""
        pasted = STANDS_FOR.get(command, command)
        for pattern, sample in SAMPLES.items():
            pasted = sample.sub(self.printed.get(pattern, NOTHING_PRINTED), pasted)
        answer = next((text for start, text in ANSWERS.items() if command.startswith(start)), "")
        script = f"{WITHOUT_INDEX}\n{pasted}\nstatus=$?; pwd >{FOLDER}; exit $status"
        done = self.machine.run(script, reads=answer, folder=self.folder, seconds=SECONDS)
        self.transcript.append(f"$ {pasted}\n{done.stdout}{done.stderr}")
        self.folder = self.machine.ok(f"cat {FOLDER}").strip()
        for pattern in SAMPLES:
            if found := pattern.search(done.stdout):
                self.printed[pattern] = found.group(pattern.groups)
        if written := WRITTEN_AFTER.get(command):
            self.machine.ok(written)
        is_expected = done.returncode == 0 or any(text in done.stderr for text in SHOWN_REFUSALS)
        return "" if is_expected else f"{pasted}\n{done.stdout}{done.stderr}"


def test_what_is_not_run_stands_on_a_page_and_has_a_reason() -> None:
    named = [names(page, command) for page in PAGES for command in commands(page)]

    assert NOT_RUN.keys() - set().union(*named) == set()
    assert all(NOT_RUN.values())


def test_every_command_of_the_pages_works_as_pasted(bare_machine: Machine) -> None:
    for program in ("nginx", "openssl", "curl", "initdb", "redis-server"):
        required_program(program)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(ROOT / WHEELS)]
    for wanted in (["-r", str(ROOT / "requirements-cluster.lock")], ["hatchling"]):
        if subprocess.run([*download, *wanted], capture_output=True, check=False).returncode:
            pytest.skip("needs a package index, for pip install as the README has it")
    bare_machine.ok(f"{SANDBOX}\n{SERVERS}\n{CERTIFICATE} && systemctl start nginx.service")
    reader = Reader(bare_machine)

    failed = {page: reader.follow(page) for page in PAGES}
    (ROOT / TRANSCRIPT).write_text("".join(reader.transcript), encoding="utf-8")

    assert failed == {page: [] for page in PAGES}, bare_machine.journal()
