"""Kestra's task `io.kestra.plugin.airbyte.connections.Sync`, in the calls of its source.

Read at kestra-io/plugin-airbyte, commit b2bda624, below src/main/java/io/kestra/plugin/airbyte/. The program itself
needs Java and a server of its own.
"""

import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tests.clients.drivers.calls import Told, call
from tests.clients.drivers.scene import prepare, read_scene

JSON = {"Content-Type": "application/json"}  # AbstractAirbyteConnection.java, lines 93 and 214
ENDED = ("failed", "cancelled", "succeeded")  # connections/CheckStatus.java, lines 93-97
POLL_SECONDS = 1.0  # connections/Sync.java, line 148

scene = read_scene()
own = scene.acme.connections
Authorization = Callable[[], str]


def with_application(key_id: str, key: str) -> Authorization:
    """Ask for a token before each call: AbstractAirbyteConnection.java, lines 95, 98 and 194-236."""

    def authorization() -> str:
        asked = {"client_id": key_id, "client_secret": key, "grant-type": "client_credentials"}  # lines 206-208
        url = f"{scene.address}/api/v1/applications/token"  # line 200
        status, answer = call("POST", url, {"Accept": "application/json", **JSON}, json.dumps(asked).encode())
        assert status == 200, answer
        return f"Bearer {answer['access_token']}"  # line 225

    return authorization


def with_password(key_id: str, key: str) -> Authorization:
    """Send name and password: lines 101-107."""
    return lambda: f"Basic {b64encode(f'{key_id}:{key}'.encode()).decode()}"


def ask(authorization: Authorization, path: str, content: object, **more: str) -> Told:
    """Send a request: lines 90-133."""
    headers = {**JSON, **more, "Authorization": authorization()}
    return call("POST", f"{scene.address}{path}", headers, json.dumps(content).encode())


def trigger(authorization: Authorization, connection_id: str) -> Told:
    """Start a sync: connections/Sync.java, lines 163-171."""
    more = {"Accept-Encoding": "identity"}  # line 166
    return ask(authorization, "/api/v1/connections/sync/", {"connectionId": connection_id}, **more)


def wait(authorization: Authorization, job_id: int) -> Any:
    """Poll to the end: connections/CheckStatus.java, lines 136-169. It reads `logLines` of each attempt, line 221."""
    while True:
        status, answer = ask(authorization, "/api/v1/jobs/get/", {"id": job_id})  # lines 140-146
        assert status == 200, answer
        assert all(attempt["logs"]["logLines"] == [] for attempt in answer["attempts"])
        if answer["job"]["status"] in ENDED:
            return answer
        time.sleep(POLL_SECONDS)


def sync(authorization: Authorization, connection_id: str) -> Any:
    """Do the whole task: connections/Sync.java, lines 158-220."""
    status, answer = trigger(authorization, connection_id)
    assert status == 200, answer
    return wait(authorization, answer["job"]["id"])


acme = with_application(scene.acme.key_id, scene.acme.key)
globex = with_password(scene.globex.key_id, scene.globex.key)

assert sync(globex, scene.globex.connections.shop)["job"]["status"] == "succeeded"
assert trigger(acme, scene.globex.connections.shop)[0] == 404
assert ask(acme, "/api/v1/jobs/get/", {"id": scene.globex.job})[0] == 404

assert sync(acme, own.shop)["job"]["status"] == "succeeded"
failed = sync(acme, own.failing)
assert failed["job"]["status"] == "failed"
assert failed["attempts"][-1]["attempt"]["failureSummary"]["failures"]  # connections/CheckStatus.java, lines 172-177

prepare("queued")
assert sync(acme, own.queued)["job"]["status"] == "succeeded"
prepare("running")
first, second = trigger(acme, own.running)[1], trigger(acme, own.running)[1]
assert first["job"]["status"] == "running"
assert second["job"]["id"] == first["job"]["id"]
assert wait(acme, first["job"]["id"])["job"]["status"] == "succeeded"

status, _ = trigger(with_password(scene.acme.expired_id, scene.acme.expired_key), own.shop)
assert status == 401
