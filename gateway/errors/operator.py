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


class LinkEnded(OperatorError):
    """A link from an invitation is unknown, used or expired: one text for all."""

    def __init__(self) -> None:
        super().__init__("This link has been used or has expired. Ask for a new one.")


class SignInRefused(OperatorError):
    """Whether the address or the password was wrong stays open."""

    def __init__(self, message: str = "The e-mail address or the password is wrong") -> None:
        super().__init__(message)
