#!/usr/bin/env bash
# airbyte-api 1.0.1, the client that Airbyte publishes: GET /sources/{id} of a source whose configuration has a
# `credentials` object is a ResponseValidationError, although the answer has the documented form. The client tries the
# configuration against the union of all connectors, and the class of another connector, which wants a tag auth_type in
# that object, raises a ValueError ("Could not find discriminator field auth_type in ...") that ends the whole trial.
# A source without the object is read. So a list of sources in which one has `credentials` cannot be read at all.
# Seen on 30 November 2026 with Python 3.11:
#   stripe: SourceStripe
#   hubspot: ResponseValidationError
#   shopify: ResponseValidationError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check airbyte-api==1.0.1 pydantic==2.14.4 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import airbyte_api
from airbyte_api import api, models
from airbyte_api.errors import ResponseValidationError

MASKED = "**********"
SOURCES = {
    "stripe": {"account_id": "acct_1Example", "client_secret": MASKED, "start_date": "2024-01-01T00:00:00Z"},
    "hubspot": {
        "start_date": "2024-01-01T00:00:00Z",
        "credentials": {
            "credentials_title": "OAuth Credentials",
            "client_id": "example",
            "client_secret": MASKED,
            "refresh_token": MASKED,
        },
    },
    "shopify": {
        "shop": "example",
        "start_date": "2024-01-01",
        "credentials": {"auth_method": "api_password", "api_password": MASKED},
    },
}


class Sources(BaseHTTPRequestHandler):
    def do_GET(self):
        kind = self.path.rpartition("/")[2]
        body = json.dumps(
            {
                "sourceId": "18dccc91-0ab1-4f72-9ed7-0b8fc27c5826",
                "name": kind,
                "sourceType": kind,
                "definitionId": "e094cb9a-26de-4645-8761-65c0c425d1de",
                "workspaceId": "871d9b60-11d1-44cb-8c92-c246d53bf87e",
                "createdAt": 1_775_012_400,
                "configuration": SOURCES[kind],
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Sources)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = airbyte_api.AirbyteAPI(
    server_url=f"http://127.0.0.1:{server.server_port}", security=models.Security(bearer_auth="example")
)
seen = {}
for kind in SOURCES:
    try:
        answer = client.sources.get_source(request=api.GetSourceRequest(source_id=kind))
        seen[kind] = type(answer.source_response.configuration).__name__
    except ResponseValidationError:
        seen[kind] = "ResponseValidationError"
    print(f"{kind}: {seen[kind]}")
expected = {"stripe": "SourceStripe", "hubspot": "ResponseValidationError", "shopify": "ResponseValidationError"}
sys.exit(0 if seen == expected else 1)
PYTHON
