"""Say why attempts failed: Airbyte's words in ours, and which of an attempt's failures decides."""

import re
from collections.abc import Sequence
from typing import Literal

from gateway.airbyte import FailureRecord
from gateway.models import Failure, FailureOrigin, FailureType
from gateway.syncs.failure_text import masked

FailureMessages = Literal["masked", "plain"]
"""`plain`: one of our own sentences, always."""

CANCELLATION = "manual_cancellation"
ORIGINS: dict[str, FailureOrigin] = {
    "source": "source",
    "destination": "destination",
    "replication": "platform",
    "persistence": "platform",
    "airbyte_platform": "platform",
}
TYPES: dict[str, FailureType] = {
    "config_error": "configuration",
    "system_error": "system",
    CANCELLATION: "cancelled",
    "refresh_schema": "schema",
    "heartbeat_timeout": "timeout",
    "destination_timeout": "timeout",
    "transient_error": "temporary",
}
SENTENCES: dict[FailureType, str] = {
    "configuration": "The {origin} is not configured correctly.",
    "credentials": "The {origin} refused the credentials.",
    "schema": "The schema of the source could not be refreshed.",
    "timeout": "The {origin} made no progress in time.",
    "cancelled": "The job was cancelled.",
    "temporary": "The {origin} had a temporary problem.",
    "system": "The {origin} had an internal problem.",
    "unknown": "The {origin} failed. Airbyte gave no reason.",
}
NAMES: dict[FailureOrigin, str] = {
    "source": "source",
    "destination": "destination",
    "platform": "platform that runs the sync",
    "unknown": "sync",
}
_OF_CREDENTIALS = re.compile(
    r"authent|unauthori|\boauth|credential|password|api.?key|\btokens?\b|sign.?in|log.?in|\b401\b", re.IGNORECASE
)
"""Airbyte has no word for credentials: a configuration that fails is theirs when the message speaks of signing in."""


class OperatorFailure:
    """The failure of an attempt with Airbyte's message to users as it came, for operators' pages alone.

    It may name hosts and hold secrets. No record of msgspec's, so that no answer of the API can be made of it.
    """

    __slots__ = ("external_message", "failure")

    def __init__(self, failure: Failure, external_message: str) -> None:
        self.failure = failure
        self.external_message = external_message

    def __repr__(self) -> str:
        """Leave out the message."""
        return f"OperatorFailure({self.failure.origin}, {self.failure.type})"


def failure_from(failures: Sequence[FailureRecord], messages: FailureMessages) -> Failure | None:
    """Return what decides among an attempt's failures, in our words; None without any.

    A message of Airbyte's is shown, masked, only of a source: that is the customer's own.
    """
    decisive = _decisive(failures)
    if decisive is None:
        return None
    origin = ORIGINS.get(decisive.failure_origin or "", "unknown")
    kind = _type_of(decisive)
    is_theirs = origin == "source" and messages == "masked"
    message = masked(decisive.external_message or "") if is_theirs else ""
    return Failure(origin, kind, message or SENTENCES[kind].format(origin=NAMES[origin]), decisive.retryable)


def operator_failure_from(failures: Sequence[FailureRecord]) -> OperatorFailure | None:
    """Return what decides among an attempt's failures, with Airbyte's message as it came; None without any."""
    failure, decisive = failure_from(failures, "plain"), _decisive(failures)
    if failure is None or decisive is None:
        return None
    return OperatorFailure(failure, decisive.external_message or "")


def _decisive(failures: Sequence[FailureRecord]) -> FailureRecord | None:
    """Return the cancellation if there is one: what fails after it fails because of it. Else the first.

    Airbyte puts what connectors said themselves before what was noticed of their end, each in order of time.
    """
    return next((each for each in failures if each.failure_type == CANCELLATION), failures[0] if failures else None)


def _type_of(failure: FailureRecord) -> FailureType:
    kind = TYPES.get(failure.failure_type or "", "unknown")
    is_credentials = kind == "configuration" and _OF_CREDENTIALS.search(failure.external_message or "")
    return "credentials" if is_credentials else kind
