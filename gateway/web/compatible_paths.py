"""Tell which requests are for the Airbyte-compatible API: the one rule, for routes, errors and nginx alike.

None of our own routes is among them (`tests/airbyte_compat/test_paths.py`), so method and path say it all.
"""

import re

from gateway.web.responses import ErrorForm

PUBLIC_API = "/api/public/v1"
NOUNS = (
    *("actor_definition_versions", "attempt", "connections", "connector_builder_projects", "dataplanes"),
    *("declarative_source_definitions", "destination_definition_specifications", "destination_definitions"),
    *("destination_oauths", "destinations", "jobs", "notifications", "operations", "organizations", "permissions"),
    *("scheduler", "source_definition_specifications", "source_definitions", "source_oauths", "sources", "state"),
    *("stream_statuses", "streams", "tags", "users", "workspaces", "web_backend/[a-z_]+"),
)
"""What the paths of the Config API begin with; a verb follows. Each of its calls is a POST."""
ANY_METHOD = rf"{PUBLIC_API}(?:/.*)?|(?:(?:/api(?:/public)?)?/v1)?/applications/token/?|/api/v1/health/?"
POST_ONLY = rf"/api/v1/(?:{'|'.join(NOUNS)})/[a-z_]+/?"
_ANY_METHOD = re.compile(ANY_METHOD, re.DOTALL)
_POST_ONLY = re.compile(POST_ONLY)


def is_compatible(method: str, path: str) -> bool:
    """Return whether the Airbyte-compatible API answers the request, be there such a call or not."""
    if _ANY_METHOD.fullmatch(path) is not None:
        return True
    return method == "POST" and _POST_ONLY.fullmatch(path) is not None


def form_of(method: str, path: str) -> ErrorForm:
    """Return the form that the errors of a request have, unless a person reads them."""
    return "problem" if is_compatible(method, path) else "own"
