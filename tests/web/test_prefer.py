"""What a caller prefers by `Prefer: wait`, RFC 7240."""

import pytest

from gateway.web.prefer import preferred_wait


def wait(*lines: str) -> int | None:
    return preferred_wait([(b"accept", b"*/*"), *((b"prefer", line.encode("latin-1")) for line in lines)])


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("wait=30", 30),
        ("Wait = 30", 30),
        ("wait=0", 0),
        ("wait=007", 7),
        ('wait="30"', 30),
        ("respond-async, wait=10", 10),
        ("wait=10, respond-async", 10),
        (",, wait=10 ;foo;bar=1 ,", 10),
        ('foo="a, wait=5", wait=7', 7),
        (r'foo="\", wait=5", wait=7', 7),
    ],
)
def test_a_wait_is_read_wherever_it_stands(line: str, seconds: int) -> None:
    assert wait(line) == seconds


@pytest.mark.parametrize("digits", ["61", "600", "9" * 5000, "0" * 5000 + "600"])
def test_a_longer_wait_than_we_keep_is_our_longest(digits: str) -> None:
    assert wait(f"wait={digits}") == 60


@pytest.mark.parametrize(
    "line",
    [
        *("", "wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=1 2", "wait 30", "=30"),
        *('foo="wait=30', 'wait="30', "wait=30 foo", "await=30", "respond-async", 'foo="wait=30"', "foo;wait=30"),
    ],
)
def test_what_is_malformed_or_unknown_is_ignored(line: str) -> None:
    assert wait(line) is None


def test_two_lines_are_one_list_of_which_the_first_wait_holds() -> None:
    assert wait("respond-async", "wait=10") == 10
    assert wait("wait=10", "wait=20") == 10
    assert wait("wait=soon", "wait=20") is None


def test_a_very_long_line_is_read_in_one_pass() -> None:
    assert wait(" " * 4000 + ";" * 4000) is None
    assert wait("a;" + " ;" * 10000 + ", wait=3") == 3
    assert wait('a="' + "\\" * 16000) is None
