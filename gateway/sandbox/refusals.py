"""Error answers in the four shapes that Airbyte has.

Refusal
├── Problem   most of the public API; nulls are present
├── Opaque    an error id and nothing else
├── Known     what the Config API expects to go wrong: a message and an error id
└── Hal       what Micronaut itself answers
"""

from collections.abc import Mapping
from http import HTTPStatus
from uuid import NAMESPACE_URL, uuid5

from starlette.requests import Request
from starlette.responses import Response

from gateway.sandbox.wire import json_answer

ERRORS_PAGE = "https://reference.airbyte.com/reference/errors"


class Refusal(Exception):
    """An answer that is not a success. `target` is the path and query that was asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def body(self, target: str) -> object:
        """Return the JSON of the answer to a request for `target`."""
        raise NotImplementedError


class Problem(Refusal):
    """An RFC 7807 body, labelled plain `application/json` as Airbyte does."""

    def __init__(
        self, status: int, title: str, *, kind: str, detail: str, data: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.title = title
        self.kind = kind
        self.detail = detail
        self.data = data

    def body(self, target: str) -> object:  # noqa: ARG002 - only HAL bodies name the target
        """Return the JSON, which does not name the target."""
        return {
            "status": self.status,
            "type": f"{ERRORS_PAGE}{self.kind}",
            "title": self.title,
            "detail": self.detail,
            "documentationUrl": None,
            "data": self.data,
        }


class Opaque(Refusal):
    """Uncaught errors, broken constraints and unreadable JSON: the reason is only in the server's log."""

    def body(self, target: str) -> object:
        """Return the JSON."""
        return {"errorId": _error_id(self.status, target)}


class Known(Refusal):
    """An error that the Config API has words for. Nulls are present."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status)
        self.message = message

    def body(self, target: str) -> object:
        """Return the JSON."""
        return {
            "message": self.message,
            "exceptionClassName": None,
            "exceptionStack": None,
            "rootCauseExceptionClassName": None,
            "rootCauseExceptionStack": None,
            "details": None,
            "errorId": _error_id(self.status, target),
        }


class Hal(Refusal):
    """Micronaut's own error body."""

    def __init__(self, status: int, reason: str | None = None) -> None:
        super().__init__(status)
        self.reason = reason

    def body(self, target: str) -> object:
        """Return the JSON, with a link to the target."""
        phrase = HTTPStatus(self.status).phrase
        error = {"message": self.reason or phrase, "_links": {}, "_embedded": {}}
        return {
            "message": phrase,
            "_links": {"self": {"href": target, "templated": False}},
            "_embedded": {"errors": [error]},
        }


def _error_id(status: int, target: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{status} {target}"))


def render_refusal(request: Request, refusal: Exception) -> Response:
    """Return the answer for a refusal. Called by Starlette."""
    assert isinstance(refusal, Refusal)  # noqa: S101 - narrows the type Starlette hands to every handler
    query = f"?{request.url.query}" if request.url.query else ""
    return json_answer(refusal.body(request.url.path + query), status=refusal.status)


def not_found(resource_type: str, resource_id: str) -> Problem:
    """Return the refusal for a resource that does not exist."""
    data = {"resourceType": resource_type, "resourceId": resource_id}
    detail = f"Could not find a resource for: {resource_id}"
    return Problem(404, "resource-not-found", kind="#resource-not-found", detail=detail, data=data)


def forbidden(role: str = "WORKSPACE_READER") -> Problem:
    """Return the refusal for a credential without a role."""
    message = f"Caller does not have the required {role} permissions to access the resource(s)."
    detail = "The request is forbidden."
    return Problem(403, "forbidden", kind="#forbidden", detail=detail, data={"message": message})


def bad_request(message: str) -> Problem:
    """Return the refusal for a request that makes no sense; `message` says why."""
    return Problem(400, "bad-request", kind="#bad-request", detail="Bad request", data={"message": message})


def try_again_later(message: str) -> Problem:
    """Return the refusal for what cannot be done now; `message` says why."""
    detail = "Please try again later."
    return Problem(409, "try-again-later", kind="#try-again-later", detail=detail, data={"message": message})


def state_conflict(message: str = "Could not fulfill request") -> Problem:
    """Return the refusal for what does not fit how things stand."""
    detail = "State conflict"
    return Problem(409, "state-conflict", kind="#409-state-conflict", detail=detail, data={"message": message})


def unprocessable(message: str) -> Problem:
    """Return the refusal for a body that asks for what does not exist; `message` says what."""
    detail = "The body of the request was not understood"
    return Problem(422, "unprocessable-entity", kind="#unprocessable-entity", detail=detail, data={"message": message})
