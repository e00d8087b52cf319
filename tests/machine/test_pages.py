"""README.md and docs/ as pasted: every command is run on a new machine, or has a reason why not."""

import re
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from tests.machine.conftest import ROOT, Machine
from tests.machine.pages import NOT_RUN, PAGES, bare, commands
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
FILL_IN = """
cd /etc/gateway && echo sandbox-secret >airbyte-client-secret && sed -i settings.toml \\
    -e 's|^base_url = .*|base_url = "http://127.0.0.1:8001/api/public/v1"|' \\
    -e 's|^client_id = .*|client_id = "sandbox-client"|'
"""
"""What a page asks the reader to write, after which command."""
WRITTEN_AFTER = {"gateway install --systemd": FILL_IN}
ANSWERS = {"gateway restore": "y\n"}
STANDS_FOR = {"cd airbyte-client-gateway && git pull": "cd /opt/checkout"}
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
        return [wrong for command in commands(page) if bare(command) not in NOT_RUN and (wrong := self._run(command))]

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
    named = {bare(command) for page in PAGES for command in commands(page)}

    assert NOT_RUN.keys() - named == set()
    assert all(NOT_RUN.values())


def test_every_command_of_the_pages_works_as_pasted(bare_machine: Machine) -> None:
    for program in ("nginx", "openssl", "curl"):
        required_program(program)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(ROOT / WHEELS)]
    for wanted in (["-r", str(ROOT / "requirements.lock")], ["hatchling"]):
        if subprocess.run([*download, *wanted], capture_output=True, check=False).returncode:
            pytest.skip("needs a package index, for pip install as the README has it")
    bare_machine.ok(f"{SANDBOX}\n{CERTIFICATE} && systemctl start nginx.service")
    reader = Reader(bare_machine)

    failed = {page: reader.follow(page) for page in PAGES}
    (ROOT / TRANSCRIPT).write_text("".join(reader.transcript), encoding="utf-8")

    assert failed == {page: [] for page in PAGES}, bare_machine.journal()
