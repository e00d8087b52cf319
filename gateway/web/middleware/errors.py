"""Turns every failure into its JSON answer: the one place that does."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import (
    ApiError,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
    Overloaded,
)
from gateway.web.compatible_paths import form_of
from gateway.web.request_context import SCOPE_KEY, RequestContext
from gateway.web.responses import error_answer

STOPPING = "Service is stopping"

log = structlog.get_logger()


class ErrorMiddleware:
    """Answers what is raised beneath it. After an answer has begun there is nothing left to say but to end it."""

    def __init__(self, app: ASGIApp, *, is_installed: Callable[[], bool] = lambda: True) -> None:
        """`is_installed` says whether the program's own files are there still."""
        self._app = app
        self._is_installed = is_installed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context: RequestContext = scope[SCOPE_KEY]
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            # Nobody is left to read an answer; the request's line says 499.
            return
        except asyncio.CancelledError:
            # A stop that has waited long enough ends what is left. What is said here is the task's last word.
            if context.status:
                raise
            form = form_of(scope["method"], scope["path"])
            await error_answer(unfinished(scope["method"], context), form)(scope, receive, send)
        except Exception as error:
            form = form_of(scope["method"], scope["path"])
            answer = error_answer(api_error(error, is_installed=self._is_installed), form)
            if context.status:
                raise
            await answer(scope, receive, send)


def unfinished(method: str, context: RequestContext) -> ApiError:
    """Return what a request is told that a stop cut short. Of a trigger nobody knows how far it came."""
    if method == "POST" and context.has_asked_airbyte:
        return OutcomeUnknown()
    return Overloaded(STOPPING)


def api_error(error: Exception, *, is_installed: Callable[[], bool] = lambda: True) -> ApiError:
    """Return the error a caller reads; what the caller may not read goes to the log."""
    if isinstance(error, ApiError):
        if error.detail:
            log.warning("request_failed", status=error.status, error=error.message, detail=error.detail)
        return error
    if isinstance(error, HTTPException):
        return _translated(error)
    # Without the program's files anything may fail: that is what to say, and no trace of where.
    if is_installed():
        log.error("unhandled_error", error=type(error).__name__, exc_info=error)
    else:
        log.error("program_files_missing", error=type(error).__name__)
    return InternalError()


def _translated(error: HTTPException) -> ApiError:
    """Say in our words what Starlette's router says in HTTPExceptions."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(frozenset(method.strip() for method in allowed.split(",")))
    return BadRequest()
