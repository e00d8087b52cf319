"""Build the OpenAPI 3.1 document of the public API. The reference page is made from it; its failures are `errors`."""

import math
from collections.abc import Mapping

from gateway import __version__, errors
from gateway.api.connections import SCHEDULE
from gateway.api.job_query import CONNECTION, FAILURE
from gateway.api.openapi.failures import CONNECTION_READS, READS, RELAYS, REVOCATIONS, Failures, build_failures
from gateway.api.openapi.job_paths import ALL_JOBS_LINK, WAIT_HEADERS, Answers, job_links, job_paths
from gateway.api.openapi.schemas import TIME, Json, build_schemas, example_of, reference
from gateway.auth import keys
from gateway.limiter import Decision, in_words, rate_limit_headers
from gateway.models import JOB_STATUSES, KNOWN_JOB_TYPES, RatePolicy
from gateway.syncs.cursor import CURSOR_PATTERN, POSITION_PATTERN, Cursor
from gateway.syncs.cursor_seal import SEALED_PATTERN
from gateway.syncs.jobs import DEFAULT_JOBS, MOST_JOBS
from gateway.syncs.watcher import MOST_OF_CLIENT
from gateway.web.prefer import LONGEST_WAIT

CONNECTION_ID = "conn_YourConnectionId"
"""Nobody takes it for a real one, though it has the form of one."""
LICENSE = {"name": "MIT", "identifier": "MIT"}
CONNECTIONS_TAG, KEYS_TAG = "Connections", "Keys"
TAGS = {CONNECTIONS_TAG: "See connections, start syncs and follow them.", KEYS_TAG: "Check a key, and revoke it."}
"""Name → what the calls with this tag are for."""
PREFER = (
    f"`wait=N`: answer when the job has ended, or as it stands after N seconds (RFC 7240). More than {LONGEST_WAIT} is "
    f"{LONGEST_WAIT}. At most {MOST_OF_CLIENT} calls of a client wait at once: others are answered at once."
)
BEFORE_THE_LIMIT = frozenset({401, 408, 413, 414, 431})
"""Statuses of answers that are given before the key, and so its limit, is known."""
ANSWER_HEADERS = ("X-Request-Id", "Cache-Control")
SEALED_EXAMPLE = "q7Zr0v5cXy1mJt8wKfLb3sGdHnPu6aE9oTiRzQeWjVxC2yNkMhBpAf4gDlS"
LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
SOMETIMES = frozenset({*LIMIT_HEADERS, "Link", ALL_JOBS_LINK, "Warning", *WAIT_HEADERS})


def build_openapi(
    *,
    server_url: str,
    rate: RatePolicy,
    connection_id: str = CONNECTION_ID,
    name: str = "Gateway",
    support: str = "",
) -> Json:
    """Return the document for an API at `server_url` whose keys have the limit `rate`; examples use `connection_id`.

    `name` is the gateway's own, `support` an e-mail address or a page's.
    """
    failures = build_failures(rate)
    schemas = build_schemas(connection_id)
    answers = _answers(schemas, failures)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name} API",
            "version": __version__,
            "description": _description(rate),
            "contact": _contact(name, support, server_url),
            "license": LICENSE,
        },
        "servers": [{"url": server_url}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"apiKey": []}],
        "paths": {**_connection_paths(answers), **job_paths(answers, tag=CONNECTIONS_TAG), **_key_paths(answers)},
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": keys.PATTERN}},
            "parameters": _parameters(connection_id),
            "headers": _headers(rate, f"{server_url}/api/v1", connection_id),
            "schemas": schemas,
            "responses": {name: _failure(*failure) for name, failure in failures.items()},
        },
    }


def _contact(name: str, support: str, server_url: str) -> Json:
    if not support:
        return {"name": "The operator of this gateway", "url": f"{server_url}/docs/getting-started"}
    return {"name": f"Support of {name}", "url" if "://" in support else "email": support}


def documented_statuses(document: Json) -> Mapping[str, frozenset[int]]:
    """Return the statuses that each operation may answer with, by the operation's id."""
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    return {operation["operationId"]: frozenset(map(int, operation["responses"])) for operation in operations}


def burst_in_words(rate: RatePolicy) -> str:
    """Return a rate in words, such as `100 at once, then one every 0.6 seconds`."""
    seconds = round(rate.per_seconds / rate.requests, 3)
    return f"{rate.requests} at once, then one every {seconds:g} second{'' if seconds == 1 else 's'}"


def _description(rate: RatePolicy) -> str:
    return (
        "See your data connections, start syncs and follow them. Every call needs an API key; a key sees only its "
        "own client's connections.\n\n"
        f"A key may make {in_words(rate)}: {burst_in_words(rate)}. Some keys have another limit: the "
        "RateLimit-Policy header states it.\n\n"
        f'Errors are always `{{"error": "message"}}`. An unknown path answers 404 `{errors.NotFound.message}`, a '
        f"wrong method 405 `{errors.MethodNotAllowed.message}` with an Allow header, and a method that HTTP does not "
        f"have 501 `{errors.MethodNotImplemented.message}`.\n\n"
        "Times are UTC, to the millisecond. Job statuses are Airbyte's words; expect new ones."
    )


def _answers(schemas: Json, failures: Failures) -> Answers:
    """Return a function that makes an operation's answers from the names of a schema, of failures and of headers."""

    def answers(answer: str, names: tuple[str, ...], *headers: str) -> Json:
        by_status = {str(failures[name][1][0].status): reference("responses", name) for name in names}
        return {"200": _success(schemas, answer, headers), **dict(sorted(by_status.items()))}

    return answers


def _connection_paths(answers: Answers) -> Json:
    status = {
        "operationId": "getStatus",
        "tags": [KEYS_TAG],
        "summary": "Check your key",
        "description": "Whose key this is, how many connections it sees, and when a sync last started.",
        "responses": answers("Status", READS, "Warning"),
    }
    sync: Json = {
        "operationId": "triggerSync",
        "tags": [CONNECTIONS_TAG],
        "summary": "Start a sync",
        "description": "Answers with the job. If a sync is already pending or running, the answer is that job: "
        "calling twice never starts two syncs. With `Prefer: wait=60` the answer comes when the job has ended, or "
        "after 60 seconds. Send no body.",
        "parameters": [reference("parameters", name) for name in ("ConnectionId", "Prefer")],
        "responses": answers("TriggeredSync", (*RELAYS, "BadTrigger", "ReadOnlyKey", "TriggerTimeout"), *WAIT_HEADERS),
    }
    sync["responses"]["200"]["links"] = job_links("/job/jobId")
    return {
        "/api/v1/status": {"get": status},
        "/api/v1/connections": {"get": _list_connections(answers)},
        "/api/v1/connections/{id}/sync": {"post": sync},
    }


def _list_connections(answers: Answers) -> Json:
    connections: Json = {
        "operationId": "listConnections",
        "tags": [CONNECTIONS_TAG],
        "summary": "List connections",
        "description": "All of the client's connections, oldest first, each with its last sync. With "
        "`include=schedule` each also has the keys schedule, next_sync_at, late and warning.",
        "parameters": [reference("parameters", "IncludeSchedule")],
        "responses": answers("ConnectionList", CONNECTION_READS, "Warning"),
    }
    connections["responses"]["200"]["links"] = _links()
    return connections


def _links() -> Json:
    """Return the calls that take the id of a listed connection: what tests an API from its document follows them."""
    calls = {"triggerSync": "Start a sync of a connection.", "listJobs": "List a connection's syncs."}
    parameters = {"id": "$response.body#/data/0/id"}
    return {name: {"operationId": name, "parameters": parameters, "description": text} for name, text in calls.items()}


def _key_paths(answers: Answers) -> Json:
    revocation = {
        "operationId": "revokeKey",
        "tags": [KEYS_TAG],
        "summary": "Revoke a leaked key",
        "description": "Revokes the key that the call is made with, at once and for good, so that anybody who finds a "
        "leaked key can end it. The call counts towards no rate limit. A read-only key can be revoked too. From the "
        "next call on it gets 401. No other key is revoked, not even its successor. Send no body.",
        "responses": answers("Revocation", REVOCATIONS),
    }
    return {"/api/v1/keys/revoke": {"post": revocation}}


def _success(schemas: Json, schema: str, headers: tuple[str, ...]) -> Json:
    names = (*ANSWER_HEADERS, *LIMIT_HEADERS, *headers)
    content = {"schema": reference("schemas", schema), "example": example_of(schemas, schemas[schema])}
    return {
        "description": schemas[schema]["description"],
        "headers": {name: reference("headers", name) for name in names},
        "content": {"application/json": content},
    }


def _failure(advice: str, causes: list[errors.ApiError]) -> Json:
    limit = () if causes[0].status in BEFORE_THE_LIMIT else LIMIT_HEADERS
    names = (*ANSWER_HEADERS, *limit, *causes[0].headers)
    examples = {f"case{n}": {"value": {"error": cause.message}} for n, cause in enumerate(causes, 1)}
    return {
        "description": advice,
        "headers": {name: reference("headers", name) for name in names},
        "content": {"application/json": {"schema": reference("schemas", "Error"), "examples": examples}},
    }


def _parameters(connection_id: str) -> Json:
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_JOBS, "default": DEFAULT_JOBS}
    cursor = {"type": "string", "pattern": f"^({CURSOR_PATTERN}|{POSITION_PATTERN})$"}
    sealed = {"type": "string", "pattern": f"^{SEALED_PATTERN}$"}
    types: Json = {"type": "array", "items": {"type": "string", "enum": list(KNOWN_JOB_TYPES)}, "default": ["sync"]}
    rows: list[tuple[str, str, str, str, Json]] = [
        ("ConnectionId", "id", "path", "The connection's id.", {"type": "string", "examples": [connection_id]}),
        ("JobId", "jobId", "path", "The job's number.", {"type": "integer", "minimum": 0, "examples": [4211]}),
        ("Prefer", "Prefer", "header", PREFER, {"type": "string", "examples": ["wait=5"]}),
        ("IncludeSchedule", "include", "query", "More about each connection.", {"type": "string", "enum": [SCHEDULE]}),
        ("Limit", "limit", "query", "How many jobs at most.", limit),
        ("Status", "status", "query", "Only jobs with this status.", {"type": "string", "enum": list(JOB_STATUSES)}),
        ("Cursor", "cursor", "query", "Where the page begins: part of the Link header's address.", cursor),
        ("AllJobsCursor", "cursor", "query", "Where the page begins: part of the Link header's address.", sealed),
        (
            "JobType",
            "jobType",
            "query",
            "Only these types of jobs, separated by commas. Airbyte stores a clear as a reset and shows it so.",
            types,
        ),
        ("IncludeConnection", "include", "query", "Each job's connection.", {"type": "string", "enum": [CONNECTION]}),
        ("Include", "include", "query", "What each job has besides.", {"type": "string", "enum": [FAILURE]}),
        (
            "UpdatedSince",
            "updatedSince",
            "query",
            "Only jobs that changed at this time or later: a time with its offset.",
            {"type": "string", "format": "date-time", "examples": [TIME]},
        ),
    ]
    # An empty parameter of a query counts as absent.
    optional = {"required": False}
    forms = {"path": {"required": True}, "query": {**optional, "allowEmptyValue": True}, "header": optional}
    # A list is separated by commas, and not repeated.
    lists = {"JobType": {"style": "form", "explode": False}}
    return {
        key: {"name": name, "in": place, **forms[place], **lists.get(key, {}), "description": text, "schema": schema}
        for key, name, place, text, schema in rows
    }


def _headers(rate: RatePolicy, api_url: str, connection_id: str) -> Json:
    next_token = math.ceil(rate.per_seconds / rate.requests)
    policy, limit = rate_limit_headers(Decision(True, rate, rate.requests - 1, next_token))
    page = _link(f"{api_url}/connections/{connection_id}/jobs", Cursor(DEFAULT_JOBS, 4192).encode())
    page_of_all = _link(f"{api_url}/jobs", SEALED_EXAMPLE)
    authenticate = errors.Unauthorized(credentials_sent=True).headers["WWW-Authenticate"]
    rows = {
        "X-Request-Id": ("Names the request in the operator's log.", "9f86d081884c7d65"),
        "Cache-Control": ("Answers are never stored.", "private, no-store"),
        "RateLimit-Policy": ("The key's limit: q requests in w seconds.", policy[1].decode()),
        "RateLimit": ("r requests are left; the next is regained in t seconds.", limit[1].decode()),
        "Retry-After": ("Seconds after which to try again.", "1"),
        "WWW-Authenticate": ("How to authenticate.", authenticate),
        "Link": ("The next page, if there is one.", page),
        ALL_JOBS_LINK: ("The next page, if there is one.", page_of_all),
        "Preference-Applied": ("Sent when the call was let wait, as it preferred.", "wait=60"),
        "Vary": ("Sent with a call that preferred to wait.", "Prefer"),
        "Warning": ("Sent when not all is current: these are the last known figures.", '110 - "Response is Stale"'),
    }
    return {
        name: {"description": text, "required": name not in SOMETIMES, "schema": {"type": "string"}, "example": example}
        for name, (text, example) in rows.items()
    }


def _link(url: str, cursor: str) -> str:
    return f'<{url}?limit={DEFAULT_JOBS}&cursor={cursor}>; rel="next"'
