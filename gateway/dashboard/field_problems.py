"""What is wrong with the fields of a form that was refused, each beside its own."""

from collections.abc import Callable, Mapping
from functools import partial

from gateway import validation
from gateway.dashboard.forms import Form
from gateway.errors import InvalidInput

Problems = Mapping[str, str]
"""Field → what is wrong with it."""
Check = Callable[[str], object]
"""Raises InvalidInput."""
NO_PROBLEMS: Problems = {}
NAME_CHECK: Check = partial(validation.text, "the name")
PLAN_CHECK: Check = partial(validation.text, "the plan")
SLUG_CHECK: Check = partial(validation.slug, "the slug")
LABEL_CHECK: Check = partial(validation.text, "the label")
TYPE_CHECK: Check = partial(validation.slug, "the connector type")


def field_problems(form: Form, needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Problems:
    """Return what is wrong, of all fields at once: a form is corrected once. `optional` fields may be empty."""
    given = {name: check for name, check in (optional or {}).items() if form.text(name)}
    problems = {}
    for name, check in {**needed, **given}.items():
        try:
            check(form.text(name))
        except InvalidInput as error:
            problems[name] = str(error)
    return problems


def in_short(problems: Problems, error: Exception) -> str:
    """Return what the top of the page says: that fields are wrong, or the error, which is no field's."""
    return "Nothing was saved. Look at the fields that are marked." if problems else str(error)
