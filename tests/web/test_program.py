"""What a User-Agent header says of the program."""

import pytest

from gateway.web.program import program_name


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("speakeasy-sdk/python 1.0.1 2.911.0 1.0.0 airbyte-api", "airbyte-api 1.0.1 (python)"),
        ("speakeasy-sdk/terraform 0.6.5 2.280.6 1.0.0 airbyte", "Terraform provider 0.6.5"),
        ("PyAirbyte Client", "PyAirbyte"),
        ("dagster", "Dagster"),
        ("python-requests/2.34.2", "python-requests/2.34.2"),
        ("Mozilla/5.0 dagster", "Mozilla/5.0 dagster"),
        ("speakeasy-sdk/<b> 1", "speakeasy-sdk/<b> 1"),
        ("", ""),
    ],
)
def test_a_program_has_the_name_that_people_know(agent: str, name: str) -> None:
    assert program_name(agent) == name
