"""Text that must not be seen."""

import copy
import json
import logging
import pprint
import traceback

import msgspec
import pytest

from gateway.settings.secret import Secret, SecretUrl


class Holder(msgspec.Struct):
    """Something with a secret in it."""

    secret: Secret


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r}".format, "{:>5}".format, pprint.pformat, "%s".__mod__])
def test_a_secret_shows_a_mask_however_it_is_printed(show: object) -> None:
    assert callable(show)
    try:
        shown = show(Secret("hunter2"))
    except TypeError as error:
        shown = str(error)

    assert "hunter2" not in shown


@pytest.mark.parametrize("holder", [[Secret("hunter2")], {"a": Secret("hunter2")}, Holder(Secret("hunter2"))])
def test_a_secret_is_masked_inside_other_things(holder: object) -> None:
    assert "********" in repr(holder)
    assert "hunter2" not in repr(holder)


def test_the_mask_does_not_tell_the_length() -> None:
    assert repr(Secret("a")) == repr(Secret("a" * 100)) == "********"


def test_a_missing_secret_is_seen_to_be_missing() -> None:
    assert repr(Secret("")) == "''"
    assert not Secret("")
    assert Secret("hunter2")


def test_a_secret_reveals_its_value_when_asked_by_name() -> None:
    assert Secret("hunter2").reveal() == "hunter2"


def test_a_secret_cannot_be_written_as_json_by_mistake() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret("hunter2"))
    with pytest.raises(TypeError):
        msgspec.json.encode(Holder(Secret("hunter2")))


def test_a_traceback_with_a_secret_in_its_message_shows_the_mask() -> None:
    secret = Secret("hunter2")
    try:
        raise ValueError(secret)
    except ValueError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert "ValueError: ********" in text
    assert "secret = ********" in text
    assert "hunter2" not in text.replace('Secret("hunter2")', "")


def test_a_log_record_shows_the_mask() -> None:
    record = logging.LogRecord("gateway", logging.INFO, __file__, 1, "password %s", (Secret("hunter2"),), None)

    assert record.getMessage() == "password ********"


def test_a_copy_is_as_silent_as_the_original() -> None:
    assert repr(copy.deepcopy(Secret("hunter2"))) == "********"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory", "memory"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://gateway@cache", "redis://gateway@cache"),
        ("redis://:s3cret@cache:6379/0", "redis://:********@cache:6379/0"),
        ("redis://gateway:s3cret@cache/0", "redis://gateway:********@cache/0"),
        ("redis://:s3@cret@cache/0", "redis://:********@cache/0"),
        ("redis://:s3/cret@cache/0", "********"),
        ("redis://[:s3cret@cache/0", "********"),
    ],
)
def test_of_an_address_only_the_password_is_masked(url: str, shown: str) -> None:
    secret = SecretUrl(url)

    assert repr(secret) == str(secret) == f"{secret}" == shown
    assert secret.reveal() == url
    assert secret.has_secret == ("********" in shown)
