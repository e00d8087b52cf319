#!/usr/bin/env bash
# dagster-airbyte 0.29.27: `sync_and_poll` cancels the sync when its looks at the job are refused for a second. Whatever
# the status says (429 with a Retry-After, 401, 503), it asks four times in under a second, waits for nothing that the
# answer asks it to wait for, raises a Failure, and on the way out sends DELETE for a job that runs well.
# Seen on 30 November 2026 with Python 3.11, dagster 1.13.27:
#   POST /jobs: 1, GET /jobs/1: 4, DELETE /jobs/1: 1
#   Failure: Max retries (3) exceeded with url: http://127.0.0.1:38115/jobs/1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dagster-airbyte==0.29.27 dagster==1.13.27
DAGSTER_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

from dagster import Failure
from dagster_airbyte import AirbyteWorkspace

JOB = {"jobId": 1, "status": "running", "jobType": "sync"}
ANSWERS = {
    "POST /applications/token": {"access_token": "example"},
    "POST /connections/get": {
        "connectionId": "c",
        "name": "c",
        "destinationId": "d",
        "syncCatalog": {"streams": []},
    },
    "GET /jobs": {"data": [], "next": ""},
    "POST /jobs": JOB,
    "DELETE /jobs/1": {**JOB, "status": "cancelled"},
}
seen = Counter()


class Airbyte(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        call = f"{self.command} {self.path.partition('?')[0]}"
        seen[call] += 1
        body = json.dumps(ANSWERS.get(call, {})).encode()
        self.send_response(200 if call in ANSWERS else 429)
        self.send_header("Retry-After", "2")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Airbyte)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
workspace = AirbyteWorkspace(
    rest_api_base_url=address,
    configuration_api_base_url=address,
    workspace_id="w",
    client_id="i",
    client_secret="s",
    poll_interval=0.1,
)
try:
    workspace.get_client().sync_and_poll("c")
except Failure as error:
    told = f"Failure: {error.description}"
calls = ("POST /jobs", "GET /jobs/1", "DELETE /jobs/1")
print(", ".join(f"{call}: {seen[call]}" for call in calls))
print(told)
sys.exit(0 if [seen[call] for call in calls] == [1, 4, 1] else 1)
PYTHON
