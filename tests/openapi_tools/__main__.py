"""Run the programs that customers feed /openapi.json to against a served gateway: `make check-openapi`.

Each must end with status 0 and warn of nothing, and the clients they make must work. Outside of CI: they come from npm
and take minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

from tests import plain_http
from tests.faults.installation import Installation, Served, install, sandbox_airbyte

FOLDER = Path(__file__).parent
BUILD = Path("build/openapi").resolve()
"""Where `make` installs the programs, and where they write."""
PYTHON = BUILD / "venv/bin"
NODE = BUILD / "node_modules/.bin"
PUBLIC_URL = "https://gateway.airbyte.test"
"""Redocly complains of `localhost`. Schemathesis is told where the gateway really is."""
JOBS = 30
"""More than a page holds, so that there is a Link."""
REVOKE = "revokeKey"
TSC = ("--noEmit", "--strict", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler")
HEY_API = tuple(f"@hey-api/{name}" for name in ("typescript", "sdk", "client-fetch", "transformers"))
"""With all that reads what a number's format is."""
WARNINGS = ("warning", "Warning")
USE = """
import sys
import models
from client import AuthenticatedClient
from client.api.connections import list_connections, list_jobs

address, key = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token=key, raise_on_unexpected_status=True)
connection = list_connections.sync(client=client).data[0]
assert len(list_jobs.sync(connection.id, client=client, limit=3).data) == 3

answer = client.get_httpx_client().get("/api/v1/status").json()
assert models.Status.model_validate({**answer, "added_later": 1}).client.slug == "acme"
"""


@contextmanager
def served_gateway() -> Iterator[tuple[Installation, Served]]:
    """A gateway whose client has connections with more jobs than a page holds."""
    with sandbox_airbyte() as airbyte, tempfile.TemporaryDirectory() as folder:
        installation = install(Path(folder), airbyte)
        server = f'[server]\npublic_url = "{PUBLIC_URL}"\n'
        installation.settings.write_text(server + installation.settings.read_text())
        for _, airbyte_id in installation.connections(3):
            for hours in range(1, JOBS + 1):
                airbyte.sandbox.world.add_job(airbyte_id, created_at=time() - 3600 * hours)
        with installation.serve() as served:
            yield installation, served


def run(name: str, *command: str | Path, warns: tuple[str, ...] = WARNINGS) -> bool:
    """Run a program in the folder of what is built; return whether it found nothing to complain of."""
    path = f"{PYTHON}:{os.environ['PATH']}"
    result = subprocess.run(
        [str(part) for part in command],
        cwd=BUILD,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", "REDOCLY_TELEMETRY": "off"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    is_clean = result.returncode == 0 and not any(word in result.stdout for word in warns)
    sys.stdout.write(f"{'ok    ' if is_clean else 'FAILED'} {name}\n{'' if is_clean else result.stdout}")
    sys.stdout.flush()
    return is_clean


def lint() -> list[bool]:
    """Run what judges the document."""
    ruleset = FOLDER.resolve() / "spectral.yaml"
    return [
        run("Spectral", NODE / "spectral", "lint", "--ruleset", ruleset, "--fail-severity", "hint", "openapi.json"),
        # Its only other warning is about the age of Node.js.
        run("Redocly", NODE / "redocly", "lint", "openapi.json", warns=("You have",)),
        run("openapi-to-postmanv2", NODE / "openapi2postmanv2", "-s", "openapi.json", "-o", "postman.json"),
    ]


def generate(address: str, key: str) -> list[bool]:
    """Make clients and use them; the last fails if a figure became a BigInt, which JSON.stringify refuses."""
    for name in ("client", "typescript"):
        shutil.rmtree(BUILD / name, ignore_errors=True)
    (BUILD / "use.py").write_text(USE)
    models = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin")
    return [
        run(
            *("datamodel-codegen", PYTHON / "datamodel-codegen"),
            *("--input", "openapi.json", "--output", "models.py", *models),
        ),
        run(
            *("openapi-python-client", PYTHON / "openapi-python-client", "generate", "--meta", "none"),
            *("--path", "openapi.json", "--output-path", "client", "--fail-on-warning"),
        ),
        run("clients in Python", PYTHON / "python", "use.py", address, key),
        run("hey-api", NODE / "openapi-ts", "-i", "openapi.json", "-o", "typescript", "-p", *HEY_API),
        run("client in TypeScript", NODE / "tsc", *TSC, "typescript/index.ts"),
        run("no BigInt", "sh", "-c", "! grep -ni bigint typescript/*.gen.ts"),
    ]


def attack(installation: Installation, address: str) -> list[bool]:
    """Run Schemathesis. One call ends its own key, so it has one, and nothing that its answer leads to."""
    schemathesis = (Path(sys.executable).parent / "schemathesis", "run", f"{address}/openapi.json", "--url", address)
    key, doomed = (f"Authorization: Bearer {installation.key()}" for _ in range(2))
    phases = "examples,coverage,fuzzing"
    return [
        run("Schemathesis", *schemathesis, "--header", key, "--exclude-operation-id", REVOKE, warns=("WARNINGS",)),
        run(
            *("Schemathesis, revocation", *schemathesis, "--header", doomed),
            *("--include-operation-id", REVOKE, "--phases", phases),
            warns=("WARNINGS",),
        ),
    ]


def main() -> int:
    """Return 0 if no program complains, else 1."""
    with served_gateway() as (installation, served):
        document = plain_http.get(f"{served.address}/openapi.json").json()
        (BUILD / "openapi.json").write_text(json.dumps(document, indent=2))
        results = [*lint(), *generate(served.address, installation.key()), *attack(installation, served.address)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
