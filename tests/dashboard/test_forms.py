"""What a form's body may be: urlencoded, small, each field once."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from gateway.dashboard.forms import FORM_TYPE, MAX_FIELDS, MAX_FORM_BYTES, Form, new_password, read_form
from gateway.errors import InvalidInput
from gateway.web.middleware.errors import ErrorMiddleware
from gateway.web.request_context import SCOPE_KEY, RequestContext


async def echo(request: Request) -> Response:
    return JSONResponse(await read_form(request))


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    app = ErrorMiddleware(Router([Route("/", echo, methods=["POST"])]))

    async def with_record(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, SCOPE_KEY: RequestContext("request-1")}, receive, send)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(with_record), base_url="http://gateway") as client:
        yield client


async def post(http: httpx2.AsyncClient, body: bytes, content_type: str = FORM_TYPE) -> httpx2.Response:
    return await http.post("/", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", {}),
        (b"name=Shop", {"name": "Shop"}),
        (b"name=", {"name": ""}),
        (b"name", {"name": ""}),
        (b"name=a+b%20c%2B%26", {"name": "a b c+&"}),
        (b"name=%D9%85%D8%B1", {"name": "مر"}),
        (b"name=++Shop%09%0d%0a", {"name": "Shop"}),
        (b"a=%00", {"a": "\x00"}),
        (b"a=1&b=2&&", {"a": "1", "b": "2"}),
        (b"a=x;b=y", {"a": "x;b=y"}),
        (b"a=%", {"a": "%"}),
    ],
)
async def test_fields_are_read_without_space_at_their_ends(
    http: httpx2.AsyncClient, body: bytes, form: dict[str, str]
) -> None:
    answer = await post(http, body)

    assert (answer.status_code, answer.json()) == (200, form)


@pytest.mark.parametrize("name", ["password", "again", "current"])
async def test_a_password_is_taken_as_it_was_typed(http: httpx2.AsyncClient, name: str) -> None:
    assert (await post(http, f"{name}=+a+b+".encode())).json() == {name: " a b "}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"a=1&a=2", "A field is given more than once"),
        (b"a=1&a=1", "A field is given more than once"),
        (b"a=\xff", "The form cannot be read"),
        (b"a=\xc3\xa9", "The form cannot be read"),
        (b"a=%FF%FE", "The form cannot be read"),
        (b"a=%ED%A0%80", "The form cannot be read"),
        (b"a=%C0%80", "The form cannot be read"),
        (b"&".join(b"%d=" % number for number in range(MAX_FIELDS + 1)), "The form cannot be read"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_no_form_is_refused(http: httpx2.AsyncClient, body: bytes, why: str) -> None:
    answer = await post(http, body)

    assert (answer.status_code, answer.json()) == (400, {"error": why})


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json", "multipart/form-data; boundary=x", f"x{FORM_TYPE}", "a;b"]
)
async def test_other_types_are_refused(http: httpx2.AsyncClient, content_type: str) -> None:
    assert (await post(http, b"a=1", content_type)).status_code == 400


@pytest.mark.parametrize("content_type", [FORM_TYPE.upper(), f"{FORM_TYPE}; charset=UTF-8", f" {FORM_TYPE} ;x"])
async def test_the_type_is_known_in_every_spelling(http: httpx2.AsyncClient, content_type: str) -> None:
    assert (await post(http, b"a=1", content_type)).json() == {"a": "1"}


async def test_a_form_is_small(http: httpx2.AsyncClient) -> None:
    assert (await post(http, b"a=" + b"x" * (MAX_FORM_BYTES - 2))).status_code == 200
    assert (await post(http, b"a=" + b"x" * (MAX_FORM_BYTES - 1))).status_code == 413


async def test_a_body_without_end_is_not_read_to_its_end(http: httpx2.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024
            yield b"x" * 1024

    answer = await http.post("/", content=endless(), headers={"Content-Type": FORM_TYPE})

    assert answer.status_code == 413
    assert sent <= MAX_FORM_BYTES + 2048


def test_a_field_that_was_not_sent_is_empty() -> None:
    form = Form(a="1")

    assert (form["a"], form["b"]) == ("1", "")
    assert "b" not in form


def test_a_new_password_is_typed_twice() -> None:
    assert new_password(Form(password=" a ", again=" a ")) == " a "
    with pytest.raises(InvalidInput, match="the two passwords differ"):
        new_password(Form(password="a", again="a "))
