"""The public API as an OpenAPI 3.1 document. The reference page is made from it."""

from gateway.api.openapi.document import CONNECTION_ID, build_openapi, burst_in_words, documented_statuses
from gateway.api.openapi.schemas import Json

__all__ = ["CONNECTION_ID", "Json", "build_openapi", "burst_in_words", "documented_statuses"]
