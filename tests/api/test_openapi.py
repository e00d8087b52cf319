"""The OpenAPI document: valid, and saying what the code says."""

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # comes with the validator
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import gateway
from gateway import __version__, errors
from gateway.api.connections import ScheduledConnectionView
from gateway.api.openapi import Json, build_openapi, burst_in_words, documented_statuses
from gateway.api.staleness import staleness_headers
from gateway.auth import keys
from gateway.errors import (
    ApiError,
    BadRequest,
    CallerLeft,
    ConnectionNotActive,
    CrossOrigin,
    RateLimitExceeded,
    TooManyCancels,
)
from gateway.models import (
    JOB_STATUSES,
    Attempt,
    ConnectionRow,
    Failure,
    Job,
    JobDetail,
    RatePolicy,
    StreamCounts,
    TriggeredJob,
)
from gateway.syncs.cursor import CURSOR_PATTERN, POSITION_PATTERN, decode_cursor
from tests.support import World, bearer

PACKAGE = Path(gateway.__file__).parent
RATE = RatePolicy(100, 60)
DOCUMENT = build_openapi(server_url="https://gateway.example", rate=RATE)
INCLUDED = {
    "Connection": ScheduledConnectionView.__struct_fields__[len(ConnectionRow.__struct_fields__) :],
    "ListedJob": ["endTime", "failure"],
    "PlacedJob": ["connection"],
}
"""By schema, the keys that only a call with `include` is answered with."""
ANSWER_KEYS = {
    "Status": ["client", "connections", "last_sync_at"],
    "Client": ["name", "slug", "plan", "created_at"],
    "ConnectionList": ["data"],
    "TriggeredSync": ["job"],
    "JobList": ["data"],
    "OneJob": ["job"],
    "Revocation": ["key"],
    "RevokedKey": ["id", "revoked_at"],
    "Error": ["error"],
}
ANYONES_MISTAKES = {400, 401, 408, 413, 414, 429, 431}


def operations() -> Iterator[Json]:
    for path in DOCUMENT["paths"].values():
        yield from path.values()


def resolved(node: Json) -> Json:
    if "$ref" not in node:
        return node
    _, kind, name = node["$ref"].removeprefix("#/").split("/")
    found: Json = DOCUMENT["components"][kind][name]
    return found


def bodies() -> Iterator[tuple[Json, Any]]:
    """Every example of a body, with its schema."""
    for operation in operations():
        for response in map(resolved, operation["responses"].values()):
            content = response["content"]["application/json"]
            if "example" in content:
                yield content["schema"], content["example"]
            for example in content.get("examples", {}).values():
                yield content["schema"], example["value"]


def failures() -> Iterator[tuple[int, str, Json]]:
    """Status, message and response of everything that may go wrong."""
    for operation in operations():
        for status, response in operation["responses"].items():
            if status != "200":
                failure = resolved(response)
                for example in failure["content"]["application/json"]["examples"].values():
                    yield int(status), example["value"]["error"], failure


def error_classes(base: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from error_classes(kind)


def test_is_a_valid_openapi_3_1_document() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()

    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__


def test_has_exactly_the_operations_of_the_contract() -> None:
    found = {
        (method.upper(), path, operation["operationId"])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }

    assert found == {
        ("GET", "/api/v1/status", "getStatus"),
        ("GET", "/api/v1/connections", "listConnections"),
        ("POST", "/api/v1/connections/{id}/sync", "triggerSync"),
        ("GET", "/api/v1/connections/{id}/jobs", "listJobs"),
        ("GET", "/api/v1/connections/{id}/jobs/{jobId}", "getJob"),
        ("GET", "/api/v1/jobs", "listAllJobs"),
        ("POST", "/api/v1/connections/{id}/jobs/{jobId}/cancel", "cancelJob"),
        ("POST", "/api/v1/keys/revoke", "revokeKey"),
    }


def test_names_the_statuses_each_operation_can_answer() -> None:
    reads = {200, 500, 503} | ANYONES_MISTAKES
    relays = reads | {404, 502, 504}

    assert documented_statuses(DOCUMENT) == {
        "getStatus": reads,
        "listConnections": reads,
        "triggerSync": relays | {403},
        "listJobs": relays,
        "getJob": relays,
        "listAllJobs": relays,
        "cancelJob": relays | {403, 409},
        "revokeKey": reads - {429},
    }


def test_examples_of_bodies_fit_their_schemas() -> None:
    examples = list(bodies())

    assert len(examples) > 4
    for schema, body in examples:
        jsonschema.validate(body, {**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize(
    ("schema", "record"),
    [
        ("Connection", ScheduledConnectionView),
        ("Job", Job),
        ("JobDetail", JobDetail),
        ("Attempt", Attempt),
        ("Failure", Failure),
        ("Stream", StreamCounts),
        ("TriggeredJob", TriggeredJob),
    ],
)
def test_schemas_of_rows_have_the_fields_of_the_records_in_their_order(
    schema: str, record: type[msgspec.Struct]
) -> None:
    properties = DOCUMENT["components"]["schemas"][schema]["properties"]
    fields = msgspec.structs.fields(record)

    assert list(properties) == [field.encode_name for field in fields]
    for field in fields:
        assert ("null" in types_of(properties[field.encode_name])) == (type(None) in get_args(field.type))


def types_of(schema: Json) -> set[str]:
    """The types that a schema allows; a schema of its own counts as an object."""
    if "oneOf" in schema:
        return {kind for choice in schema["oneOf"] for kind in types_of(choice)}
    kinds = schema.get("type", "object")
    return {kinds} if isinstance(kinds, str) else set(kinds)


@pytest.mark.parametrize(("schema", "names"), ANSWER_KEYS.items())
def test_schemas_of_answers_have_the_keys_of_the_contract_in_their_order(schema: str, names: list[str]) -> None:
    assert list(DOCUMENT["components"]["schemas"][schema]["properties"]) == names


def test_every_key_of_an_answer_is_always_there_but_those_that_are_asked_for() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["required"] == [key for key in schema["properties"] if key not in INCLUDED.get(name, ())]


def test_nothing_in_it_breaks_clients_made_from_it() -> None:
    text = json.dumps(DOCUMENT)

    assert "additionalProperties" not in text, "a client would refuse the first field that is added"
    assert "int64" not in text, "JavaScript would get a BigInt, which JSON.stringify refuses"


def test_every_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    names = [(kind, name) for kind, found in DOCUMENT["components"].items() for name in found]

    unused = [name for kind, name in names if f'"#/components/{kind}/{name}"' not in text]

    assert unused == list(DOCUMENT["components"]["securitySchemes"])


def test_every_operation_has_a_described_tag() -> None:
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}

    assert {tag for operation in operations() for tag in operation["tags"]} == described
    assert all(len(operation["tags"]) == 1 for operation in operations())


def test_says_whom_to_ask_and_under_which_licence() -> None:
    assert DOCUMENT["info"]["contact"]["url"] == "https://gateway.example/docs/getting-started"
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"


def test_the_ids_of_connections_lead_to_the_calls_that_take_one() -> None:
    links = DOCUMENT["paths"]["/api/v1/connections"]["get"]["responses"]["200"]["links"]
    parameters = {each["operationId"]: json.dumps(each.get("parameters", "")) for each in operations()}
    takers = {name for name, text in parameters.items() if "/ConnectionId" in text and "/JobId" not in text}

    assert {link["operationId"] for link in links.values()} == takers


@pytest.mark.parametrize(("method", "path"), [("get", "jobs"), ("post", "sync")])
def test_the_ids_of_jobs_lead_to_the_calls_that_take_one(method: str, path: str) -> None:
    links = DOCUMENT["paths"][f"/api/v1/connections/{{id}}/{path}"][method]["responses"]["200"]["links"]
    takers = {each["operationId"] for each in operations() if "/JobId" in json.dumps(each.get("parameters", ""))}

    assert {link["operationId"] for link in links.values()} == takers


@pytest.mark.parametrize("name", ["Limit", "Status", "Cursor", "JobType", "Include", "UpdatedSince"])
def test_a_parameter_of_a_query_may_be_empty(name: str) -> None:
    assert DOCUMENT["components"]["parameters"][name]["allowEmptyValue"] is True


def test_the_pattern_of_cursors_is_the_one_they_are_checked_by() -> None:
    assert DOCUMENT["components"]["parameters"]["Cursor"]["schema"]["pattern"] == (
        f"^({CURSOR_PATTERN}|{POSITION_PATTERN})$"
    )


NOT_OF_A_CALL = (
    "airbyte_compat",
    "cli",
    "dashboard",
    "doctor",
    "provisioning",
    "sandbox",
    "web/server",
    "auth/sign_in_throttle.py",
)
"""Rooms whose failures are told in Airbyte's form, on pages, to operators, or before it is known which call is made."""
TOLD_ELSEWHERE = {
    CallerLeft,
    errors.CallNotServed,
    errors.DestinationNotFound,
    errors.SourceNotFound,
    errors.TriggerPending,
    errors.WorkspaceNotFound,
}
"""Failures that nobody is told of, or only programs that were written for Airbyte."""
TOLD_BY_ANOTHER = {"reason", "decision.refusal", "wrong_include(what)", "given_twice(name)"}
"""Messages that a caller or a function gives, which tests below ask for."""


def given_messages() -> Iterator[tuple[str, ast.expr]]:
    """The module and the expression of each message that the code of a call gives to a failure."""
    kinds = {kind.__name__ for kind in error_classes() if "message" in inspect.signature(kind).parameters}
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.relative_to(PACKAGE).as_posix().startswith((*NOT_OF_A_CALL, "api/openapi")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in kinds
                    and node.args
                ):
                    module = ".".join(("gateway", *path.relative_to(PACKAGE).with_suffix("").parts))
                    yield module, node.args[0]


def pattern_of(module: str, message: ast.expr) -> str:
    """What the message looks like; one that is made of others must be known."""
    if isinstance(message, ast.Constant):
        return re.escape(str(message.value))
    if isinstance(message, ast.JoinedStr):
        return "".join(
            re.escape(str(each.value)) if isinstance(each, ast.Constant) else ".+" for each in message.values
        )
    text = ast.unparse(message)
    assert text in TOLD_BY_ANOTHER or isinstance(message, ast.Name), f"{module}: {text}"
    return ".*" if text in TOLD_BY_ANOTHER else re.escape(getattr(importlib.import_module(module), text))


def test_every_message_of_a_failure_is_documented_as_the_code_gives_it() -> None:
    told = {message for _, message, _ in failures()}

    unknown = [
        f"{module}: {ast.unparse(message)}"
        for module, message in given_messages()
        if not any(re.fullmatch(pattern_of(module, message), each) for each in told)
    ]

    assert unknown == []


def test_messages_of_failures_are_those_of_the_error_classes_or_of_the_code() -> None:
    known = {(kind.status, kind.message) for kind in error_classes() if hasattr(kind, "message")}
    patterns = [
        re.compile(pattern_of(*each)) for each in given_messages() if ast.unparse(each[1]) not in TOLD_BY_ANOTHER
    ]
    worded_elsewhere = {BadRequest.status, RateLimitExceeded.status}

    for status, message, _ in failures():
        assert (
            status in worded_elsewhere
            or (status, message) in known
            or any(each.fullmatch(message) for each in patterns)
        )


def test_every_error_a_client_may_meet_is_documented() -> None:
    told = {message for _, message, _ in failures()}
    told |= {errors.NotFound.message, errors.MethodNotAllowed.message, errors.MethodNotImplemented.message}

    for kind in error_classes():
        if hasattr(kind, "message") and kind not in {
            BadRequest,
            ConnectionNotActive,
            CrossOrigin,
            RateLimitExceeded,
            *TOLD_ELSEWHERE,
        }:
            assert kind.message in told


def test_a_cancel_tells_of_too_many_that_are_pending() -> None:
    cancel = DOCUMENT["paths"]["/api/v1/connections/{id}/jobs/{jobId}/cancel"]["post"]["responses"]["503"]
    examples = resolved(cancel)["content"]["application/json"]["examples"].values()

    assert TooManyCancels.message in {example["value"]["error"] for example in examples}


def test_the_message_about_cursors_is_the_one_given() -> None:
    with pytest.raises(BadRequest) as raised:
        decode_cursor("!")

    assert (400, raised.value.message) in {(status, message) for status, message, _ in failures()}


@pytest.mark.parametrize("query", ["limit=0", "status=done", "jobType=x", "include=x", "include=failure&cursor=1.1"])
async def test_the_messages_about_job_queries_are_the_ones_given(world: World, query: str) -> None:
    key = await world.client_with_key()

    answer = await world.http.get(f"/api/v1/connections/conn_1/jobs?{query}", headers=bearer(key))

    assert (answer.status_code, answer.json()["error"]) in {(status, message) for status, message, _ in failures()}


def test_failures_carry_the_headers_their_classes_send() -> None:
    headers = {status: set(failure["headers"]) for status, _, failure in failures()}

    assert "Retry-After" in headers[429] & headers[503]
    assert "WWW-Authenticate" in headers[401]
    assert "RateLimit" not in headers[401]
    assert all("X-Request-Id" in names for names in headers.values())


WARNED = staleness_headers(is_fresh=False, count_stale=lambda: None)


def test_headers_of_success_name_paging_and_staleness_where_they_occur() -> None:
    headers = {operation["operationId"]: set(operation["responses"]["200"]["headers"]) for operation in operations()}

    assert {name for name, found in headers.items() if "Link" in found} == {"listJobs", "listAllJobs"}
    waiting = {"triggerSync", "getJob"}
    assert {name for name, found in headers.items() if "Preference-Applied" in found} == waiting
    assert {name for name, found in headers.items() if "Warning" in found} == {
        *("getStatus", "listConnections", "listAllJobs"),
        *waiting,
    }
    assert DOCUMENT["components"]["headers"]["Warning"]["example"] == WARNED["Warning"]


def test_the_key_format_is_the_one_of_keys() -> None:
    scheme = DOCUMENT["components"]["securitySchemes"]["apiKey"]

    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert re.fullmatch(scheme["bearerFormat"], keys.mint(lambda characters: characters[0]))


def test_job_statuses_are_closed_in_the_question_and_open_in_the_answer() -> None:
    components = DOCUMENT["components"]

    assert components["parameters"]["Status"]["schema"]["enum"] == list(JOB_STATUSES)
    assert "enum" not in components["schemas"]["Job"]["properties"]["status"]


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (RatePolicy(100, 60), "100 at once, then one every 0.6 seconds"),
        (RatePolicy(60, 60), "60 at once, then one every 1 second"),
        (RatePolicy(1, 86400), "1 at once, then one every 86400 seconds"),
        (RatePolicy(7, 1), "7 at once, then one every 0.143 seconds"),
    ],
)
def test_says_the_burst_in_words(rate: RatePolicy, words: str) -> None:
    assert burst_in_words(rate) == words


def test_the_limit_and_its_message_follow_the_policy() -> None:
    document = build_openapi(server_url="https://gateway.example", rate=RatePolicy(5, 3600))
    refusal = document["components"]["responses"]["RateLimitExceeded"]["content"]["application/json"]

    assert document["servers"] == [{"url": "https://gateway.example"}]
    assert document["components"]["headers"]["RateLimit-Policy"]["example"] == '"default";q=5;w=3600'
    assert [example["value"]["error"] for example in refusal["examples"].values()] == [
        "Rate limit exceeded — 5 requests per hour per API key",
        "Rate limit exceeded — 100 requests per hour per client",
    ]
