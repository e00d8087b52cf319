"""Airbyte's own OpenAPI documents, which are not part of this project, to check answers against."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator

DOCUMENTS = Path(__file__).parents[2] / "shared" / "airbyte-openapi"

needs_documents = pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="Airbyte's OpenAPI documents are not here")


@cache
def document(name: str) -> Any:
    text = (DOCUMENTS / f"api_documentation_{name}.yaml").read_text()
    return yaml.load(text, Loader=yaml.CSafeLoader)


def assert_valid(name: str, schema: str, body: object) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document(name)["components"]}
    OAS31Validator(whole).validate(body)
