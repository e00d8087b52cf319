"""Read parameters of a query."""

from starlette.datastructures import QueryParams

from gateway.errors import BadRequest


def single(query: QueryParams, name: str) -> str | None:
    """Return the parameter's value, None if it is absent or empty. Raises BadRequest if it is given twice."""
    values = query.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"{name} is given more than once")
    return values[0] or None if values else None
