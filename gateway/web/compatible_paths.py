"""Tell which requests are for the Airbyte-compatible API, for routes, errors and nginx alike; and its errors' form.

None of our own routes is among them (`tests/airbyte_compat/test_paths.py`), so method and path say it all.
"""

import re
from http import HTTPStatus
from typing import Literal

ErrorForm = Literal["own", "problem", "page"]
"""`own` is the one shape of our API's errors; a `problem` (RFC 9457) is what programs written for Airbyte read."""
PUBLIC_API = "/api/public/v1"
NOUNS = (
    *("actor_definitions", "actor_definition_versions", "applications", "attempt", "billing"),
    *("connections(?:/(?:clear|events|history|reset))?", "connector_builder_projects", "dataplanes"),
    *("declarative_source_definitions", "deployment", "destination_definition_specifications"),
    *("destination_definitions", "destination_oauths(?:/oauth_params)?", "destinations", "groups"),
    *("instance_configuration", "jobs(?:/retry_states)?", "notifications", "operations", "organizations"),
    *("permissions", "scheduler(?:/[a-z]+)?", "secrets_persistence_config", "source_definition_specifications"),
    *("source_definitions", "source_oauths(?:/oauth_params)?", "sources", "sso_config", "state", "stream_statuses"),
    *("streams", "tags", "user_invitations", "users", "workspaces", "web_backend(?:/[a-z_]+)?"),
)
"""What the paths of the Config API begin with; a verb follows. Each of its calls is a POST."""
ANY_METHOD = (f"{PUBLIC_API}(?:/.*)?", "(?:(?:/api)?/v1)?/applications/token/?", "/api/v1/health/?")
POST_ONLY = tuple(f"/api/v1/{noun}/[A-Za-z_]+/?" for noun in NOUNS)
STATUS_TITLES = {413: "Content Too Large", 414: "URI Too Long", 499: "Caller Has Left"}
"""Where Python's own phrases differ from version to version; 499 is no status of HTTP's."""
_ANY_METHOD = re.compile("|".join(ANY_METHOD), re.DOTALL)
_POST_ONLY = re.compile("|".join(POST_ONLY))


def is_compatible(method: str, path: str) -> bool:
    """Return whether the Airbyte-compatible API answers the request, be there such a call or not."""
    if _ANY_METHOD.fullmatch(path) is not None:
        return True
    return method == "POST" and _POST_ONLY.fullmatch(path) is not None


def form_of(method: str, path: str) -> ErrorForm:
    """Return the form that the errors of a request have, unless a person reads them."""
    return "problem" if is_compatible(method, path) else "own"


def title_of(status: int) -> str:
    """Return HTTP's phrase for a status: all that a problem without a type of its own has to say (RFC 9457 §4.2.1)."""
    return STATUS_TITLES.get(status) or HTTPStatus(status).phrase
