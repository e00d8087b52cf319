"""Every failure: the tree as drawn, its statuses, its public words and its headers."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from gateway import errors
from gateway.errors import ApiError, GatewayError, OperatorError

PACKAGE = Path(errors.__file__).parent.parent
DRAWN = re.compile(
    r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +(?P<status>\d{3}))?(?:.* also (?P<second>[A-Z]\w+))?", re.MULTILINE
)
LISTED = re.compile(r"^(?P<name>[A-Z]\w+) +(?P<room>[a-z_]+)  ", re.MULTILINE)
REQUIRED_ARGUMENTS: dict[str, dict[str, Any]] = {
    "Unauthorized": {"credentials_sent": True},
    "MethodNotAllowed": {"allowed": frozenset({"GET"})},
    "UpstreamRefused": {"upstream_status": 404},
}


def drawn_tree() -> dict[str, tuple[list[str], int | None]]:
    """Name → parents and status, as the module's docstring draws them."""
    tree: dict[str, tuple[list[str], int | None]] = {}
    line_of_ancestors: list[str] = []
    drawing = (errors.__doc__ or "").split("\n\n")[1]
    for match in DRAWN.finditer(drawing):
        depth = len(match["indent"]) // 4
        del line_of_ancestors[depth:]
        parents = [*line_of_ancestors[-1:], *filter(None, [match["second"]])]
        tree[match["name"]] = parents, int(match["status"]) if match["status"] else None
        line_of_ancestors.append(match["name"])
    return tree


def real_tree() -> dict[str, list[str]]:
    """Name → bases, of every failure in the module."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)]
    return {kind.__name__: [base.__name__ for base in kind.__bases__ if base is not Exception] for kind in classes}


def exceptions_of_rooms() -> set[tuple[str, str]]:
    """Name and room of each public exception outside the tree. The sandbox is no part of the gateway."""
    return {
        (node.name, path.relative_to(PACKAGE).with_suffix("").parts[0])
        for path in PACKAGE.rglob("*.py")
        if not {"sandbox", "errors"} & set(path.relative_to(PACKAGE).parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if any(isinstance(base, ast.Name) and base.id == "Exception" for base in node.bases)
    }


def api_errors() -> list[ApiError]:
    kinds = [getattr(errors, name) for name, (_, status) in drawn_tree().items() if status is not None]
    return [kind(**REQUIRED_ARGUMENTS.get(kind.__name__, {})) for kind in kinds]


def test_the_tree_drawn_on_top_is_the_tree_of_classes() -> None:
    assert {name: parents for name, (parents, _) in drawn_tree().items()} == real_tree()


def test_every_exception_outside_the_tree_is_listed_with_its_room() -> None:
    listing = (errors.__doc__ or "").split("\n\n")[-1]

    assert {(match["name"], match["room"]) for match in LISTED.finditer(listing)} == exceptions_of_rooms()


def test_the_statuses_drawn_on_top_are_those_of_the_classes() -> None:
    drawn = {name: status for name, (_, status) in drawn_tree().items() if status is not None}

    assert drawn == {type(error).__name__: error.status for error in api_errors()}
    assert len(drawn) >= 17


WORDS = [
    (errors.Unauthorized(credentials_sent=True), 401, "Unauthorized — invalid or missing API key"),
    (errors.Unauthorized(credentials_sent=False), 401, "Unauthorized — invalid or missing API key"),
    (errors.ReadOnlyKey(), 403, "This API key is read-only"),
    (errors.ConnectionNotFound(), 404, "Connection not found"),
    (errors.NotFound(), 404, "Not found"),
    (errors.MethodNotAllowed(frozenset({"GET"})), 405, "Method not allowed"),
    (errors.RequestTimeout(), 408, "Request was not received in time"),
    (errors.ContentTooLarge(), 413, "Request body is too large"),
    (errors.CallerLeft(), 499, "Caller has left"),
    (errors.UriTooLong(), 414, "Request URL is too long"),
    (errors.HeadersTooLarge(), 431, "Request headers are too large"),
    (errors.InternalError(), 500, "Internal server error"),
    (errors.UpstreamUnreachable(), 502, "Upstream service unreachable"),
    (errors.UpstreamInvalid(), 502, "Upstream service returned an invalid response"),
    (errors.UpstreamRefused(403, "forbidden"), 502, "Upstream service returned an invalid response"),
    (errors.UpstreamBusy(), 503, "Upstream service is busy"),
    (errors.Overloaded(), 503, "Service is busy"),
    (errors.TooManyCancels(), 503, "Too many cancels are pending"),
    (errors.StorageUnavailable(), 503, "Storage is unavailable"),
    (errors.UpstreamTimeout(), 504, "Upstream service timed out"),
    (errors.OutcomeUnknown(), 504, "Outcome unknown: check the job list before retrying"),
]


def test_a_failure_has_its_status_and_its_public_words() -> None:
    said = [(error, error.status, error.message) for error, _, _ in WORDS]

    assert said == WORDS
    assert [str(error) for error, _, _ in WORDS] == [message for _, _, message in WORDS]


def test_what_is_only_for_the_log_is_in_no_public_part() -> None:
    for error in api_errors():
        error.detail = "host airbyte.internal said: token abc"

        assert "airbyte.internal" not in error.message + str(error) + str(dict(error.headers)), repr(error)


def test_every_header_of_a_failure_is_one_line_of_ascii() -> None:
    for name, value in ((name, value) for error in api_errors() for name, value in error.headers.items()):
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert value.isascii(), name
        assert value.isprintable(), name


def test_a_failure_may_say_what_exactly_is_wrong() -> None:
    error = errors.BadRequest("Connection has no Airbyte mapping")

    assert (error.status, error.message) == (400, "Connection has no Airbyte mapping")


@pytest.mark.parametrize(
    ("credentials_sent", "challenge"),
    [(False, 'Bearer realm="gateway"'), (True, 'Bearer realm="gateway", error="invalid_token"')],
)
def test_the_challenge_names_an_error_only_when_something_was_sent(credentials_sent: bool, challenge: str) -> None:
    assert errors.Unauthorized(credentials_sent=credentials_sent).headers == {"WWW-Authenticate": challenge}


def test_a_wrong_method_is_told_the_right_ones_in_order() -> None:
    assert errors.MethodNotAllowed(frozenset({"POST", "GET", "HEAD"})).headers == {"Allow": "GET, HEAD, POST"}


@pytest.mark.parametrize(
    "kind", [errors.RateLimitExceeded, errors.Overloaded, errors.StorageUnavailable, errors.UpstreamBusy]
)
def test_who_is_told_to_come_back_waits_a_second_at_least(kind: type[errors.RetryableError]) -> None:
    headers = {-3: "1", 0: "1", 1: "1", 61: "61"}

    assert {seconds: kind(retry_after=seconds).headers["Retry-After"] for seconds in headers} == headers


@pytest.mark.parametrize(
    ("kind", "reached"),
    [
        (errors.UpstreamUnreachable, True),
        (errors.UpstreamInvalid, True),
        (errors.UpstreamBusy, False),
        (errors.UpstreamTimeout, True),
        (errors.OutcomeUnknown, True),
    ],
)
def test_only_a_busy_upstream_is_sure_to_have_done_nothing(kind: type[errors.UpstreamError], reached: bool) -> None:
    assert kind().reached is reached


def test_a_refusal_of_airbytes_keeps_its_status_for_us_and_not_for_the_caller() -> None:
    error = errors.UpstreamRefused(401, "unauthorized")

    assert (error.upstream_status, error.title, error.status) == (401, "unauthorized", 502)


def test_what_operators_are_told_has_no_http_status() -> None:
    for name in ("SettingsError", "DatabaseRefused", "Duplicate", "UnknownRecord", "InvalidInput"):
        kind = getattr(errors, name)
        assert issubclass(kind, OperatorError)
        assert not issubclass(kind, ApiError)
        assert str(kind("one line")) == "one line"
