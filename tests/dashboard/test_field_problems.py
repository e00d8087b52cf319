"""What is wrong with a form, field by field."""

from gateway import validation
from gateway.dashboard.field_problems import NAME_CHECK, SLUG_CHECK, field_problems, in_short
from gateway.dashboard.forms import Form
from gateway.errors import InvalidInput

NEEDED = {"name": NAME_CHECK, "slug": SLUG_CHECK}
OPTIONAL = {"rate": validation.rate, "most_keys": validation.most_keys}


def test_all_that_is_wrong_is_told_at_once_each_beside_its_field() -> None:
    problems = field_problems(Form(name="", slug="Bad Slug", rate="often"), NEEDED, OPTIONAL)

    assert list(problems) == ["name", "slug", "rate"]
    assert problems["slug"].startswith("the slug must be 1 to 63 lower-case letters")
    assert problems["rate"] == "a rate is REQUESTS/SECONDS, for example 100/60"


def test_an_optional_field_may_be_empty() -> None:
    assert field_problems(Form(name="Acme", slug="acme", rate=" "), NEEDED, OPTIONAL) == {}


def test_the_top_of_the_page_repeats_no_field_s_error() -> None:
    error = InvalidInput("choose when the key expires")

    assert in_short({"name": "x"}, error) == "Nothing was saved. Look at the fields that are marked."
    assert in_short({}, error) == "choose when the key expires"
