"""Read submitted forms: `application/x-www-form-urlencoded`, small, each field once."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from gateway.errors import BadRequest, ContentTooLarge, PasswordRefused

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 1000
FORM_TYPE = "application/x-www-form-urlencoded"
PASSWORDS = frozenset({"password", "again", "current"})
"""Fields whose value is kept exactly as typed (ASVS V6.2.8)."""


class Form(dict[str, str]):
    """Fields by name; one that was not sent is empty."""

    def __missing__(self, name: str) -> str:
        return ""

    def text(self, name: str) -> str:
        """Return a field without space at its ends, also if it is a password's."""
        return self[name].strip()


async def read_form(request: Request) -> Form:
    """Return the fields, without space at their ends except in passwords. Raises BadRequest, ContentTooLarge."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise BadRequest(f"A form is sent as {FORM_TYPE}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise ContentTooLarge
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadRequest("The form cannot be read") from None
    form = Form((name, value if name in PASSWORDS else value.strip()) for name, value in pairs)
    if len(form) != len(pairs):
        raise BadRequest("A field is given more than once")
    return form


def new_password(form: Form) -> str:
    """Return the new password, which was typed twice. Raises PasswordRefused if the two differ."""
    if form["password"] != form["again"]:
        raise PasswordRefused("the two passwords differ")
    return form["password"]
