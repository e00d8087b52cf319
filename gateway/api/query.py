"""Read parameters of a query."""

from starlette.datastructures import QueryParams

from gateway.errors import BadRequest


def single(query: QueryParams, name: str) -> str | None:
    """Return the parameter's value, None if it is absent or empty. Raises BadRequest if it is given twice."""
    values = query.getlist(name)
    if len(values) > 1:
        raise BadRequest(given_twice(name))
    return values[0] or None if values else None


def includes(query: QueryParams, what: str) -> bool:
    """Return whether `include` asks for `what`, the one thing there is. Raises BadRequest for anything else."""
    text = single(query, "include")
    if text not in {None, what}:
        raise BadRequest(wrong_include(what))
    return text is not None


def given_twice(name: str) -> str:
    """Return the message about a parameter that is given more than once."""
    return f"{name} is given more than once"


def wrong_include(what: str) -> str:
    """Return the message about another `include` than `what`."""
    return f"include must be {what}"
