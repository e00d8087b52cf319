#!/usr/bin/env bash
# airbyte-prefect 1.2.0: a sync of which one attempt failed, and that Airbyte retries by itself, is an
# AirbyteSyncJobFailed. Its source says that `incomplete` is terminal; of Airbyte it means that a further attempt follows,
# and here the job succeeds a moment later.
# Seen on 30 November 2026 with Python 3.11, prefect 3.9.1:
#   AirbyteSyncJobFailed: Job 1 incomplete.
#   and then the job is: succeeded
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check airbyte-prefect==1.2.0 prefect==3.9.1
DO_NOT_TRACK=1 PREFECT_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from airbyte_prefect import exceptions
from airbyte_prefect.connections import AirbyteConnection
from airbyte_prefect.server import AirbyteServer

statuses = iter(["running", "incomplete", "succeeded"])


class Airbyte(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = self.path.removeprefix("/api/v1").strip("/")
        job = {"id": 1, "createdAt": 1_775_012_400, "updatedAt": 1_775_012_400}
        content = {
            "health": lambda: {"available": True},
            "connections/get": lambda: {"status": "active"},
            "connections/sync": lambda: {"job": {**job, "status": "pending"}},
            "jobs/get": lambda: {"job": {**job, "status": next(statuses)}, "attempts": []},
        }
        body = json.dumps(content[path]()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Airbyte)
threading.Thread(target=server.serve_forever, daemon=True).start()
connection = AirbyteConnection(
    airbyte_server=AirbyteServer(server_host="127.0.0.1", server_port=server.server_port),
    connection_id="18dccc91-0ab1-4f72-9ed7-0b8fc27c5826",
    poll_interval_s=0,
)


async def sync():
    run = await connection.trigger()
    try:
        await run.wait_for_completion()
    except exceptions.AirbyteSyncJobFailed as error:
        print(f"{type(error).__name__}: {error}")
        print(f"and then the job is: {next(statuses)}")
        return True
    return False


sys.exit(0 if asyncio.run(sync()) else 1)
PYTHON
