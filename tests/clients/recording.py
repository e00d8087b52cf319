"""What a client and the gateway said to each other, as a file: names stand for ids, keys and addresses.

A file holds the versions of the client's packages, when it began, and events by their seconds since then: exchanges,
and what was prepared in Airbyte between them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "recorded"
REQUEST_HEADERS = ("accept", "authorization", "content-type", "user-agent")
ANSWER_HEADERS = ("cache-control", "content-type", "retry-after", "warning", "www-authenticate")
KEY_NAME = re.compile(r"<(\w+)\.(?:expired )?(?:key|basic)>")


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client sent; `target` is the path with its query. A body of JSON is taken apart."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it got."""

    status: int
    headers: dict[str, str]
    body: Any = None


class Exchange(msgspec.Struct, frozen=True, tag="exchange", tag_field="event"):
    """A request and its answer, `at` seconds after the beginning."""

    at: float
    request: Request
    answer: Answer

    @property
    def tenant(self) -> str | None:
        """The tenant whose key the request carries."""
        found = KEY_NAME.search(f"{self.request.headers} {self.request.body}")
        return found and found[1]


class Preparation(msgspec.Struct, frozen=True, tag="preparation", tag_field="event"):
    """What began in Airbyte, of `PREPARED` in `scene.py`."""

    at: float
    what: str


class Recording(msgspec.Struct, frozen=True):
    """All that one client did; `began` is in seconds since 1970."""

    client: str
    packages: dict[str, str]
    began: float
    events: list[Exchange | Preparation]

    @property
    def exchanges(self) -> Iterator[Exchange]:
        return (event for event in self.events if isinstance(event, Exchange))

    def save(self) -> None:
        text = json.dumps(msgspec.to_builtins(self), indent=1, ensure_ascii=False)
        _file(self.client).write_text(f"{text}\n", encoding="utf-8")


def load(client: str) -> Recording:
    return msgspec.json.decode(_file(client).read_bytes(), type=Recording)


def _file(client: str) -> Path:
    return FOLDER / f"{client}.json"


class Names:
    """Names instead of what is another one with each run."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(sorted(names.items(), key=lambda pair: -len(pair[0])))

    def hide(self, text: str) -> str:
        """Return the text with names in it."""
        for value, name in self._names.items():
            text = text.replace(value, name)
        return text

    def fill(self, text: str) -> str:
        """Return the text with what the names stand for."""
        for value, name in self._names.items():
            text = text.replace(name, value)
        return text

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        chosen = {name: self.hide(headers[name]) for name in REQUEST_HEADERS if name in headers}
        return Request(method, self.hide(target), chosen, self._body(body))

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        chosen = {name: self.hide(headers[name]) for name in ANSWER_HEADERS if name in headers}
        return Answer(status, chosen, self._body(body))

    def _body(self, body: bytes) -> Any:
        text = self.hide(body.decode())
        try:
            return json.loads(text)
        except ValueError:
            return text or None


def content_of(request: Request) -> str:
    """Return the body as it was sent."""
    return request.body if isinstance(request.body, str) else "" if request.body is None else json.dumps(request.body)
