"""Name the program that a User-Agent header describes, as far as it is one that was written for Airbyte. Pure."""

import re

GENERATED = re.compile(r"speakeasy-sdk/(?P<language>[a-z]{1,20}) (?P<version>[0-9A-Za-z.+-]{1,20})\b")
"""As Airbyte's own clients call themselves, which Airflow uses too."""
TERRAFORM = "terraform"
PROGRAMS = (("PyAirbyte Client", "PyAirbyte"), ("dagster", "Dagster"))
"""What a header begins with → the program."""


def program_name(agent: str) -> str:
    """Return `airbyte-api 1.0.1 (python)`, `Dagster`, …, or the header itself when it names none of them."""
    generated = GENERATED.match(agent)
    if generated is not None:
        language, version = generated["language"], generated["version"]
        return f"Terraform provider {version}" if language == TERRAFORM else f"airbyte-api {version} ({language})"
    return next((name for beginning, name in PROGRAMS if agent.startswith(beginning)), agent)
