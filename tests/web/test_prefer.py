"""What a caller prefers by `Prefer: wait`, RFC 7240."""

import time

import pytest

from gateway.web.prefer import MOST_PREFER_BYTES, preferred_wait

SHORT = MOST_PREFER_BYTES // 8


def wait(*lines: str) -> int | None:
    return preferred_wait([(b"accept", b"*/*"), *((b"prefer", line.encode("latin-1")) for line in lines)])


WAITS = {
    "wait=30": 30,
    "Wait = 30": 30,
    "wait=0": 0,
    "wait=007": 7,
    'wait="30"': 30,
    "respond-async, wait=10": 10,
    "wait=10, respond-async": 10,
    ",, wait=10 ;foo;bar=1 ,": 10,
    'foo="a, wait=5", wait=7': 7,
    r'foo="\", wait=5", wait=7': 7,
}


def test_a_wait_is_read_wherever_it_stands() -> None:
    assert {line: wait(line) for line in WAITS} == WAITS


@pytest.mark.parametrize("digits", ["61", "600", "9" * 900, "0" * 900 + "600"])
def test_a_longer_wait_than_we_keep_is_our_longest(digits: str) -> None:
    assert wait(f"wait={digits}") == 60


IGNORED = [
    *("", "wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=1 2", "wait 30", "=30"),
    *('foo="wait=30', 'wait="30', "wait=30 foo", "await=30", "respond-async", 'foo="wait=30"', "foo;wait=30"),
]


def test_what_is_malformed_or_unknown_is_ignored() -> None:
    assert [line for line in IGNORED if wait(line) is not None] == []


def test_two_lines_are_one_list_of_which_the_first_wait_holds() -> None:
    assert wait("respond-async", "wait=10") == 10
    assert wait("wait=10", "wait=20") == 10
    assert wait("wait=soon", "wait=20") is None


def test_a_long_list_of_preferences_is_read_to_its_end() -> None:
    assert wait("a;" + " ;" * 400 + ", wait=3") == 3


@pytest.mark.parametrize("filler", [" ", ",", ";", " ;", "\t,", "a", 'a="",'])
def test_what_is_longer_than_any_real_preference_is_ignored(filler: str) -> None:
    assert wait("wait=3," + filler * (16_000 // len(filler))) is None
    assert wait("wait=3", *[filler] * MOST_PREFER_BYTES) is None


@pytest.mark.parametrize(
    ("start", "filler", "end"),
    [
        *(("a,", " ", "@"), ("a", " ", "@"), ("a;", " ", "@"), ("a;b", " ", "=@"), ("a;", " ;", "@"), ("", ",", "@")),
        *(
            ("a", ";a=b", "@"),
            ("", "a", "@"),
            ('a="', "\\", ""),
            ('a="', "\\a", ""),
            ("", 'a="",', "@"),
            ("", "\t,", "@"),
        ),
    ],
)
def test_a_text_of_eight_times_the_length_takes_about_eight_times_as_long(start: str, filler: str, end: str) -> None:
    """A pattern that goes back and forth over its text takes sixty-four times as long."""

    def seconds(length: int) -> float:
        return min(seconds_of_this_thread(start + filler * (length // len(filler)) + end) for _ in range(30))

    assert seconds(SHORT * 8 - 20) < 24 * seconds(SHORT)


def seconds_of_this_thread(line: str) -> float:
    began = time.thread_time()
    assert wait(line) is None
    return time.thread_time() - began
