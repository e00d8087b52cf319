"""Tell a driver what it finds, and have something begin in Airbyte. Runs in each client's own environment."""

import json
import sys
import urllib.request
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

PREPARE = "prepare: "
"""How a line begins that asks for something; the answer is a line, too."""


def read_scene() -> Any:
    """Return the address, and of each tenant its keys, connections and a job that has ended."""
    return json.loads(sys.stdin.readline(), object_hook=lambda content: SimpleNamespace(**content))


def prepare(what: str) -> None:
    """Let a sync begin of the connection of that name, and return when it is there."""
    sys.stdout.write(f"\n{PREPARE}{what}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def failure_of(call: Callable[[], object], kind: type[Exception] = Exception) -> str:
    """Return what the error says that the call raises."""
    try:
        call()
    except kind as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("no error")


def workspace_id(address: str, key: str) -> str:
    """Return the id of the tenant's workspace, which some programs must be told: as a person asks for it."""
    request = urllib.request.Request(
        f"{address}/api/public/v1/workspaces", headers={"Authorization": f"Bearer {key}", "User-Agent": "person"}
    )
    with urllib.request.urlopen(request) as answer:
        (workspace,) = json.load(answer)["data"]
    return str(workspace["workspaceId"])
