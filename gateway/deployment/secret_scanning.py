"""What secret scanners are told, so that they find keys in code, logs and tickets. Pure: it follows from `keys`."""

from collections.abc import Mapping

from gateway.auth import keys

RULE_ID = "airbyte-client-gateway-key"
DESCRIPTION = "API key of an Airbyte client gateway"
LEAST_ENTROPY = 3
"""Bits for each character. Keys have more than 3.9; placeholders such as `smrt_xxxx…` have less than 2."""
RE2_PATTERN = rf"(?:\b|_)({keys.PATTERN})(?:\b|_)"
"""What `keys.TEXT_PATTERN` finds, as group 1: Go's expressions have no look-around."""
_BODY = keys.PREFIX + keys.ALPHABET[::2][: keys.SECRET_LENGTH]
EXAMPLE = _BODY + keys.checksum(_BODY)
"""Well formed, and nobody's: every second character of the alphabet. All in order are a stop word of gitleaks."""


def gitleaks_rules() -> str:
    """Return a configuration file for gitleaks, whose own rules stay in force; it looks for keywords in lower case."""
    return f"""\
[extend]
useDefault = true

[[rules]]
id = "{RULE_ID}"
description = "{DESCRIPTION}"
regex = '''{RE2_PATTERN}'''
secretGroup = 1
entropy = {LEAST_ENTROPY}
keywords = ["{keys.PREFIX.lower()}"]
"""


def github_pattern() -> Mapping[str, str]:
    """Return the fields of a custom pattern for GitHub's secret scanning.

    Its Hyperscan library has no look-around, so what stands before and after has fields of its own.
    """
    return {
        "Pattern name": DESCRIPTION,
        "Secret format": keys.PATTERN,
        "Before secret": r"\A|[^0-9A-Za-z]",
        "After secret": r"\z|[^0-9A-Za-z]",
        "Test string": EXAMPLE,
    }
