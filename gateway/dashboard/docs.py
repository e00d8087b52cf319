"""/, the pages below /docs and their text in Markdown: made from the OpenAPI document, so that they agree with it."""

import functools
import json
import operator
from functools import lru_cache
from html import escape
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.api.base_url import ANY_URL, base_url
from gateway.api.openapi import CONNECTION_ID, Json, build_openapi, burst_in_words
from gateway.auth.keys import TEXT_PATTERN
from gateway.dashboard.markdown import markdown_of
from gateway.dashboard.templating import SECURITY_HEADERS, page, render
from gateway.dashboard.visitor import redirect, visitor_or_none
from gateway.errors import NotFound
from gateway.limiter import in_words
from gateway.models import ACTIVE, Connection, RatePolicy
from gateway.services import services_of
from gateway.settings.brand import Brand
from gateway.web.conditional import ConditionalAnswer

PAGES = ("getting-started", "api", "webhooks", "your-tools")
MARKDOWN = ".md"
SUCCESS = "200"
MOST_OWN_SHOWN = 5
KEPT_PAGES = 16
"""Pages of 60 KB: a gateway has few addresses, and a reload may change its limit or how it shows itself."""
KEPT_HEADERS = {**SECURITY_HEADERS, "Vary": "Cookie"}


class Failure(msgspec.Struct, frozen=True):
    """A row of the table of errors. The dicts serve as ordered sets."""

    status: str
    messages: dict[str, None]
    advice: dict[str, None]


class Operation(msgspec.Struct, frozen=True):
    """A call as the reference shows it. `url` is complete, with an example in place of each parameter."""

    id: str
    method: str
    path: str
    url: str
    summary: str
    description: str
    parameters: list[Json]
    answer: str
    fields: dict[str, Json]
    headers: dict[str, Json]
    failures: list[str]


async def show_root(request: Request) -> Response:
    """Redirect to the getting-started guide."""
    return redirect(request, "docs/getting-started")


async def show_page(request: Request) -> ASGIApp:
    """Show a page of the documentation, or its text in Markdown, which ends in `.md`. Raises NotFound.

    Whoever is not signed in gets a page that is kept. A signed-in visitor's has examples of his own.
    """
    name = request.path_params["page"].removesuffix(MARKDOWN)
    if name not in PAGES:
        raise NotFound
    services = services_of(request)
    rate, brand = services.limiter.default, services.brand.current
    if request.path_params["page"] != name:
        return _kept_markdown(name, base_url(request), rate, brand)
    if visitor_or_none(request) is None:
        return _kept_page(name, base_url(request), rate, brand)
    own = await _own_connections(request)
    return page(request, f"docs/{name}.html", **_content(base_url(request), rate, own))


async def show_contents(request: Request) -> ASGIApp:
    """Tell language models what there is to read (llmstxt.org)."""
    services = services_of(request)
    return _kept_contents(base_url(request), services.limiter.default, services.brand.current)


@lru_cache(KEPT_PAGES)
def _kept_page(name: str, url: str, rate: RatePolicy, brand: Brand) -> ConditionalAnswer:
    """Return the page for everybody who is not signed in. Hosts differ in its addresses only, so a new one is cheap."""
    text = _kept_text(name, rate, brand).replace(ANY_URL, escape(url))
    return ConditionalAnswer(text.encode(), content_type="text/html; charset=utf-8", headers=KEPT_HEADERS)


@lru_cache(KEPT_PAGES)
def _kept_markdown(name: str, url: str, rate: RatePolicy, brand: Brand) -> ConditionalAnswer:
    text = _markdown(name, rate, brand).replace(ANY_URL, url)
    return ConditionalAnswer(text.encode(), content_type="text/markdown; charset=utf-8", headers=SECURITY_HEADERS)


@lru_cache(KEPT_PAGES)
def _kept_contents(url: str, rate: RatePolicy, brand: Brand) -> ConditionalAnswer:
    """Return the list of pages, each with the title and the first paragraph that it has itself."""
    summary = build_openapi(server_url=ANY_URL, rate=rate)["info"]["description"].partition("\n\n")[0]
    lines = [f"# {brand.name}", "", f"> {summary}", "", "## Docs", ""]
    for name in PAGES:
        title, lead, *_ = _markdown(name, rate, brand).split("\n\n")
        lines.append(f"- [{title.removeprefix('# ')}]({ANY_URL}/docs/{name}{MARKDOWN}): {lead}")
    lines.append(f"- [OpenAPI]({ANY_URL}/openapi.json): The API reference as an OpenAPI 3.1 document.")
    text = "\n".join(lines).replace(ANY_URL, url) + "\n"
    return ConditionalAnswer(text.encode(), content_type="text/plain; charset=utf-8", headers=SECURITY_HEADERS)


@lru_cache(KEPT_PAGES)
def _markdown(name: str, rate: RatePolicy, brand: Brand) -> str:
    return markdown_of(_kept_text(name, rate, brand), address=f"{ANY_URL}/docs/{name}")


@lru_cache(KEPT_PAGES)
def _kept_text(name: str, rate: RatePolicy, brand: Brand) -> str:
    content = _content(ANY_URL, rate, [])
    return render(f"docs/{name}.html", root="../", here=f"docs/{name}", visitor=None, brand=brand, **content)


def _content(url: str, rate: RatePolicy, own: list[Connection]) -> Json:
    """Return what the templates show; `own` connections serve as examples."""
    example = own[0].id if own else CONNECTION_ID
    document = build_openapi(server_url=url, rate=rate, connection_id=example)
    return {
        "example_id": example,
        "own_connections": own[:MOST_OWN_SHOWN],
        "more_connections": max(0, len(own) - MOST_OWN_SHOWN),
        "document": document,
        "key_expression": TEXT_PATTERN,
        "base_url": document["servers"][0]["url"],
        "operations": {operation.id: operation for operation in _operations(document)},
        "failures": _failures(document),
        "rate": in_words(rate),
        "burst": burst_in_words(rate),
    }


async def _own_connections(request: Request) -> list[Connection]:
    """Return the signed-in member's connections, active ones first; none for anybody else."""
    visitor = visitor_or_none(request)
    if visitor is None or visitor.client is None:
        return []
    connections = await services_of(request).store.connections.of_client(visitor.client.id)
    return sorted(connections.rows, key=lambda row: row.status != ACTIVE)


def _operations(document: Json) -> list[Operation]:
    return [
        _operation(document, path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _operation(document: Json, path: str, method: str, operation: Json) -> Operation:
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", ())]
    url = document["servers"][0]["url"] + path
    for parameter in parameters:
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", str(parameter["schema"]["examples"][0]))
    success = operation["responses"][SUCCESS]
    content = success["content"]["application/json"]
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        url=url,
        summary=operation["summary"],
        description=operation["description"],
        parameters=parameters,
        answer=json.dumps(content["example"], indent=2),
        fields=_fields(document, content["schema"]),
        headers={name: _resolved(document, header) for name, header in success["headers"].items()},
        failures=[status for status in operation["responses"] if status != SUCCESS],
    )


def _fields(document: Json, schema: Json, name: str = "") -> dict[str, Json]:
    """Return `{dotted name: schema}` of every field that holds a value, a list or null, at any depth."""
    schema = _resolved(document, schema)
    if "oneOf" in schema:
        own = {"type": ["object", "null"], "description": schema["description"]}
        return {name: own, **_fields(document, schema["oneOf"][0], name)}
    if "items" in schema:
        own = {name: {"type": "array", "description": schema["description"]}} if "description" in schema else {}
        return {**own, **_fields(document, schema["items"], name)}
    if "properties" not in schema:
        return {name: schema}
    fields: dict[str, Json] = {name: schema} if "null" in schema["type"] else {}
    for part, inner in schema["properties"].items():
        fields |= _fields(document, inner, f"{name}.{part}" if name else part)
    return fields


def _failures(document: Json) -> list[Failure]:
    """Return the failures of all calls by status; each message and each advice once."""
    found: dict[str, Failure] = {}
    for path in document["paths"].values():
        for operation in path.values():
            for status, reference in operation["responses"].items():
                if status != SUCCESS:
                    failure = found.setdefault(status, Failure(status, {}, {}))
                    response = _resolved(document, reference)
                    failure.advice[response["description"]] = None
                    failure.messages.update(dict.fromkeys(_messages(response)))
    return [found[status] for status in sorted(found)]


def _messages(response: Json) -> list[str]:
    examples = response["content"]["application/json"]["examples"]
    return [example["value"]["error"] for example in examples.values()]


def _resolved(document: Json, node: Json) -> Any:
    """Return the node itself, or what its `$ref` points to."""
    if "$ref" not in node:
        return node
    return functools.reduce(operator.getitem, node["$ref"].removeprefix("#/").split("/"), document)
