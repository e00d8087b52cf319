"""The public API as an OpenAPI 3.1 document. The reference page is made from it; failures are those of `errors`."""

import math
from collections.abc import Mapping
from typing import Any

from gateway import __version__, errors, keys
from gateway.cursor import Cursor
from gateway.limiter import Decision
from gateway.middleware.rate_limit import in_words, rate_limit_headers
from gateway.models import JOB_STATUSES, RatePolicy
from gateway.syncs import DEFAULT_JOBS, MOST_JOBS

Json = dict[str, Any]
Failures = Mapping[str, tuple[str, list[errors.ApiError]]]
"""Name → what the caller may do about it, and the errors of one status that it stands for."""

CONNECTION_ID = "conn_8fK2mQ9xT4bVnR7w"
TIME = "2026-11-23T03:00:12.000Z"
BEFORE_THE_LIMIT = frozenset({401, 408, 413, 414, 431})
"""Statuses of answers that do not know yet whose limit to state."""
ANSWER_HEADERS = ("X-Request-Id", "Cache-Control")
LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
SOMETIMES = frozenset({*LIMIT_HEADERS, "Link", "Warning"})
GENERAL = ("Unauthorized", "RequestTimeout", "ContentTooLarge", "UriTooLong", "HeadersTooLarge")
READS = (*GENERAL, "BadRequest", "RateLimitExceeded", "InternalError", "Unavailable")
RELAYS = (*GENERAL, "RateLimitExceeded", "InternalError", "ConnectionNotFound", "UpstreamFailed", "UpstreamBusy")


def build_openapi(*, server_url: str, rate: RatePolicy, connection_id: str = CONNECTION_ID) -> Json:
    """The document for an API at `server_url` whose keys have the limit `rate`; examples use `connection_id`."""
    failures = {**_request_failures(rate), **_service_failures()}
    schemas = {**_client_schemas(connection_id), **_job_schemas()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gateway API", "version": __version__, "description": _description(rate)},
        "servers": [{"url": server_url}],
        "security": [{"apiKey": []}],
        "paths": _paths(schemas, failures),
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": keys.PATTERN}},
            "parameters": _parameters(connection_id),
            "headers": _headers(rate, connection_id),
            "schemas": schemas,
            "responses": {name: _failure(*failure) for name, failure in failures.items()},
        },
    }


def documented_statuses(document: Json) -> Mapping[str, frozenset[int]]:
    """Operation id → the statuses it may answer with."""
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    return {operation["operationId"]: frozenset(map(int, operation["responses"])) for operation in operations}


def burst_in_words(rate: RatePolicy) -> str:
    """`100 at once, then one every 0.6 seconds`."""
    seconds = round(rate.per_seconds / rate.requests, 3)
    return f"{rate.requests} at once, then one every {seconds:g} second{'' if seconds == 1 else 's'}"


def _description(rate: RatePolicy) -> str:
    return (
        "See your data connections, start syncs and follow them. Every call needs an API key; a key sees only its "
        "own client's connections.\n\n"
        f"A key may make {in_words(rate)}: {burst_in_words(rate)}. Some keys have another limit: the "
        "RateLimit-Policy header states it.\n\n"
        f'Errors are always `{{"error": "message"}}`. An unknown path answers 404 `{errors.NotFound.message}`, a '
        f"wrong method 405 `{errors.MethodNotAllowed.message}` with an Allow header.\n\n"
        "Times are UTC, to the millisecond. Job statuses are Airbyte's words; expect new ones."
    )


def _paths(schemas: Json, failures: Failures) -> Json:
    def answers(answer: str, names: tuple[str, ...], header: str = "") -> Json:
        by_status = {str(failures[name][1][0].status): _reference("responses", name) for name in names}
        return {"200": _success(schemas, answer, header), **dict(sorted(by_status.items()))}

    status = {
        "operationId": "getStatus",
        "summary": "Check your key",
        "description": "Whose key this is, how many connections it sees, and when a sync last started.",
        "responses": answers("Status", READS, "Warning"),
    }
    connections = {
        "operationId": "listConnections",
        "summary": "List connections",
        "description": "All of the client's connections, oldest first, each with its last sync.",
        "responses": answers("ConnectionList", READS, "Warning"),
    }
    sync = {
        "operationId": "triggerSync",
        "summary": "Start a sync",
        "description": "Answers with the job. If a sync is already pending or running, the answer is that job: "
        "calling twice never starts two. Send no body.",
        "parameters": [_reference("parameters", "ConnectionId")],
        "responses": answers("TriggeredSync", (*RELAYS, "BadTrigger", "ReadOnlyKey", "TriggerTimeout")),
    }
    jobs = {
        "operationId": "listJobs",
        "summary": "List sync jobs",
        "description": "Newest first. If there are more, the Link header holds the address of the next page.",
        "parameters": [_reference("parameters", name) for name in ("ConnectionId", "Limit", "Status", "Cursor")],
        "responses": answers("JobList", (*RELAYS, "BadJobQuery", "UpstreamTimeout"), "Link"),
    }
    return {
        "/api/v1/status": {"get": status},
        "/api/v1/connections": {"get": connections},
        "/api/v1/connections/{id}/sync": {"post": sync},
        "/api/v1/connections/{id}/jobs": {"get": jobs},
    }


def _success(schemas: Json, schema: str, header: str) -> Json:
    names = [*ANSWER_HEADERS, *LIMIT_HEADERS, header] if header else [*ANSWER_HEADERS, *LIMIT_HEADERS]
    content = {"schema": _reference("schemas", schema), "example": _example(schemas, schemas[schema])}
    return {
        "description": schemas[schema]["description"],
        "headers": {name: _reference("headers", name) for name in names},
        "content": {"application/json": content},
    }


def _failure(advice: str, causes: list[errors.ApiError]) -> Json:
    limit = () if causes[0].status in BEFORE_THE_LIMIT else LIMIT_HEADERS
    names = (*ANSWER_HEADERS, *limit, *causes[0].headers)
    examples = {f"case{n}": {"value": {"error": cause.message}} for n, cause in enumerate(causes, 1)}
    return {
        "description": advice,
        "headers": {name: _reference("headers", name) for name in names},
        "content": {"application/json": {"schema": _reference("schemas", "Error"), "examples": examples}},
    }


def _request_failures(rate: RatePolicy) -> Failures:
    bad = errors.BadRequest
    length = bad("Content-Length is not a number")
    unmapped = bad("Connection has no Airbyte mapping")
    inactive = bad("Connection is not active in Airbyte (status: inactive)")
    limit = bad(f"limit must be a whole number from 1 to {MOST_JOBS}")
    status = bad(f"status must be one of {', '.join(JOB_STATUSES)}")
    cursor = bad("Invalid cursor: pass the one from the Link header unchanged")
    exceeded = errors.RateLimitExceeded(f"Rate limit exceeded — {in_words(rate)} per API key")
    operator = "Mapping a connection and switching it on is your operator's work."
    return {
        "BadRequest": ("The message says what is wrong.", [length]),
        "BadTrigger": (operator, [unmapped, inactive, bad("This call takes no request body"), length]),
        "BadJobQuery": (operator, [unmapped, limit, status, cursor, length]),
        "Unauthorized": ("Check the key; if it expired, get a new one.", [errors.Unauthorized(credentials_sent=True)]),
        "ReadOnlyKey": ("Use a key that may start syncs.", [errors.ReadOnlyKey()]),
        "ConnectionNotFound": ("Take the id from the list of connections.", [errors.ConnectionNotFound()]),
        "MethodNotAllowed": ("Use a method of the Allow header.", [errors.MethodNotAllowed(frozenset({"GET"}))]),
        "RequestTimeout": ("Send the request again.", [errors.RequestTimeout()]),
        "ContentTooLarge": ("Send no body: no call needs one.", [errors.ContentTooLarge()]),
        "UriTooLong": ("Shorten the query.", [errors.UriTooLong()]),
        "RateLimitExceeded": ("Wait the seconds of Retry-After, then go on.", [exceeded]),
        "HeadersTooLarge": ("Send fewer or shorter headers.", [errors.HeadersTooLarge()]),
    }


def _service_failures() -> Failures:
    own: list[errors.ApiError] = [errors.Overloaded(), errors.StorageUnavailable()]
    timeout = errors.UpstreamTimeout()
    later = "Try again after the seconds of Retry-After."
    trouble = "Airbyte is in trouble: try again in a minute."
    unknown = "If the outcome is unknown, a sync may have started: list the jobs first."
    return {
        "InternalError": ("Tell your operator the X-Request-Id.", [errors.InternalError()]),
        "UpstreamFailed": (trouble, [errors.UpstreamUnreachable(), errors.UpstreamInvalid()]),
        "Unavailable": (later, own),
        "UpstreamBusy": (later, [*own, errors.UpstreamBusy()]),
        "UpstreamTimeout": (trouble, [timeout]),
        "TriggerTimeout": (unknown, [timeout, errors.OutcomeUnknown()]),
    }


def _parameters(connection_id: str) -> Json:
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_JOBS, "default": DEFAULT_JOBS}
    rows: list[tuple[str, str, str, str, Json]] = [
        ("ConnectionId", "id", "path", "The connection's id.", {"type": "string", "examples": [connection_id]}),
        ("Limit", "limit", "query", "How many jobs at most.", limit),
        ("Status", "status", "query", "Only jobs with this status.", {"type": "string", "enum": list(JOB_STATUSES)}),
        ("Cursor", "cursor", "query", "Where to go on; part of the Link header's address.", {"type": "string"}),
    ]
    return {
        key: {"name": name, "in": place, "required": place == "path", "description": text, "schema": schema}
        for key, name, place, text, schema in rows
    }


def _headers(rate: RatePolicy, connection_id: str) -> Json:
    next_token = math.ceil(rate.per_seconds / rate.requests)
    policy, limit = rate_limit_headers(Decision(True, rate, rate.requests - 1, next_token))
    query = f"limit={DEFAULT_JOBS}&cursor={Cursor(DEFAULT_JOBS, 4192).encode()}"
    page = f'</api/v1/connections/{connection_id}/jobs?{query}>; rel="next"'
    authenticate = errors.Unauthorized(credentials_sent=True).headers["WWW-Authenticate"]
    rows = {
        "X-Request-Id": ("Names the request in the operator's log.", "9f86d081884c7d65"),
        "Cache-Control": ("Answers are never stored.", "private, no-store"),
        "RateLimit-Policy": ("The key's limit: q requests in w seconds.", policy[1].decode()),
        "RateLimit": ("r requests are left; the next is regained in t seconds.", limit[1].decode()),
        "Retry-After": ("Seconds after which to try again.", "1"),
        "WWW-Authenticate": ("How to authenticate.", authenticate),
        "Allow": ("The methods of this path.", "GET"),
        "Link": ("The next page, if there is one.", page),
        "Warning": ("Sent when Airbyte is away: these are the last known syncs.", '110 - "Response is Stale"'),
    }
    return {
        name: {"description": text, "required": name not in SOMETIMES, "schema": {"type": "string"}, "example": example}
        for name, (text, example) in rows.items()
    }


def _client_schemas(connection_id: str) -> Json:
    created = _text("When it was added.", "2026-01-15T09:30:00.000Z", form="date-time")
    client = {
        "name": _text("The client's name.", "Acme Inc"),
        "slug": _text("Its short name.", "acme"),
        "plan": _text("The operator's word for what it pays for.", "free"),
        "created_at": created,
    }
    status = {
        "client": _reference("schemas", "Client"),
        "connections": _whole("How many connections it has.", 3),
        "last_sync_at": _nullable(_text("Start of the newest sync.", TIME, form="date-time")),
    }
    connection = {
        "id": _text("The connection's id in this API.", connection_id),
        "connector_type": _text("What it reads from.", "shopify"),
        "label": _text("Its name.", "Shopify orders"),
        "status": _text("active, inactive, locked or deprecated; pending while not mapped.", "active"),
        "last_sync_at": _nullable(_text("Start of its newest sync.", TIME, form="date-time")),
        "last_sync_status": _nullable(_text("Status of its newest sync.", "succeeded")),
        "created_at": created,
    }
    return {
        "Client": _record("Whom the key belongs to.", client),
        "Status": _record("The client and its connections in short.", status),
        "Connection": _record("A connection of the client's.", connection),
        "ConnectionList": _list("All connections, oldest first.", "Connection"),
        "Error": _record("Any error.", {"error": _text("What went wrong.", errors.NotFound.message)}),
    }


def _job_schemas() -> Json:
    triggered = {
        "jobId": _whole("Airbyte's number of the job.", 4211),
        "connectionId": _text("Airbyte's id of the connection.", "5ae6b09b-fdec-41af-aaf7-7d94cfc33ef6", form="uuid"),
        "status": _text(f"{', '.join(JOB_STATUSES)}, or a newer word of Airbyte's.", "running"),
        "jobType": _text("The kind of job.", "sync"),
    }
    job = {
        **triggered,
        "status": {**triggered["status"], "examples": ["succeeded"]},
        "startTime": _nullable(_text("When it started.", TIME, form="date-time")),
        "bytesSynced": _nullable(_whole("Bytes moved.", 1048576)),
        "rowsSynced": _nullable(_whole("Rows moved.", 2048)),
        "duration": _nullable(_text("How long it ran, ISO 8601.", "PT2M14S", form="duration")),
    }
    return {
        "TriggeredJob": _record("A job just started, or already under way.", triggered),
        "TriggeredSync": _record("The job of a trigger.", {"job": _reference("schemas", "TriggeredJob")}),
        "Job": _record("A sync.", job),
        "JobList": _list("Jobs, newest first.", "Job"),
    }


def _record(description: str, properties: Json) -> Json:
    schema = {"type": "object", "description": description, "properties": properties}
    return {**schema, "required": list(properties), "additionalProperties": False}


def _list(description: str, schema: str) -> Json:
    return _record(description, {"data": {"type": "array", "items": _reference("schemas", schema)}})


def _text(description: str, example: str, *, form: str | None = None) -> Json:
    schema = {"type": "string", "description": description, "examples": [example]}
    return schema if form is None else {**schema, "format": form}


def _whole(description: str, example: int) -> Json:
    return {"type": "integer", "format": "int64", "description": description, "examples": [example]}


def _nullable(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _example(schemas: Json, schema: Json) -> Any:
    """What the schema's own examples add up to."""
    if "$ref" in schema:
        return _example(schemas, schemas[schema["$ref"].rpartition("/")[2]])
    if "properties" in schema:
        return {name: _example(schemas, part) for name, part in schema["properties"].items()}
    return [_example(schemas, schema["items"])] if "items" in schema else schema["examples"][0]
