"""How a form with a password or a code is answered when it is refused: in words, and with the field that is wrong."""

from collections.abc import Mapping

import msgspec

from gateway.errors import CodeRefused, Duplicate, InvalidInput, PasswordRefused, RetryableError, SignInRefused

WRONG_FIELDS = {
    PasswordRefused: "password",
    CodeRefused: "code",
    SignInRefused: "current",
    InvalidInput: "email",
    Duplicate: "email",
}
"""The field that each error is about; of several that fit, the first."""
FORM_ERRORS = (InvalidInput, SignInRefused, RetryableError)
"""What the page of such a form tells itself."""


class Refusal(msgspec.Struct, frozen=True):
    """The status and headers of the answer, what it says at its top, and the name of the field that is wrong."""

    problem: str = ""
    wrong: str = ""
    status: int = 200
    headers: Mapping[str, str] = {}


NOT_REFUSED = Refusal()
"""Of a page that shows the form for the first time."""


def refusal_of(error: Duplicate | InvalidInput | SignInRefused | RetryableError) -> Refusal:
    """Return how the form is answered that led to the error."""
    if isinstance(error, RetryableError):
        return Refusal(error.message, status=error.status, headers=error.headers)
    wrong = next((field for kind, field in WRONG_FIELDS.items() if isinstance(error, kind)), "")
    return Refusal(str(error), wrong, status=400)
