"""HTTP for the drivers of programs that are no Python packages. Standard library only."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

Told = tuple[int, Any]
"""The status and the JSON of an answer."""


def call(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Told:
    """Return the status and the JSON of the answer, of an error too."""
    request = urllib.request.Request(url, method=method, headers=dict(headers), data=body)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
