"""Failures that an operator reads as one line."""

from gateway.errors.api import GatewayError


class OperatorError(GatewayError):
    """A failure that an operator reads as one line, on the command line or on a page."""


class SettingsError(OperatorError):
    """A setting is unknown, of the wrong type or out of range; the text names file and key."""


class DatabaseRefused(OperatorError):
    """The database file is missing, foreign, damaged, newer, or in use by another gateway."""


class Duplicate(OperatorError):
    """The slug or the Airbyte connection is taken."""


class UnknownRecord(OperatorError):
    """There is no such client, connection, key or user."""


class InvalidInput(OperatorError):
    """A value given on the command line or in a form cannot be used."""


class PasswordRefused(InvalidInput):
    """A new password is too short, too common, or was not typed the same twice."""


class LinkEnded(OperatorError):
    """A link from an invitation is unknown, used or expired: one text for all."""

    def __init__(self) -> None:
        super().__init__("This link has been used or has expired. Ask for a new one.")


class SignInRefused(OperatorError):
    """Whether the address or the password was wrong stays open."""

    def __init__(self, message: str = "The e-mail address or the password is wrong") -> None:
        super().__init__(message)


class ClientDisabled(SignInRefused):
    """The password is right, and the member's client is disabled."""

    def __init__(self, client_name: str) -> None:
        super().__init__(f"Access for {client_name} is disabled. Ask the operator.")


class CodeRefused(SignInRefused):
    """A code of a second factor is wrong, or was used."""

    def __init__(self) -> None:
        super().__init__("The code is wrong or was used already")


class SignInEnded(SignInRefused):
    """A sign-in that waited for a code is over: it was completed, took too long or had too many wrong codes."""

    def __init__(self) -> None:
        super().__init__("This sign-in took too long or had too many wrong codes. Sign in again.")
