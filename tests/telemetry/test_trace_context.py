"""What is a `traceparent`, by W3C Trace Context."""

from gateway.telemetry.trace_context import Trace, read_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


TRACEPARENTS = {
    f"00-{TRACE}-{SPAN}-01": Trace(TRACE, SPAN, True),
    f"00-{TRACE}-{SPAN}-00": Trace(TRACE, SPAN, False),
    f"00-{TRACE}-{SPAN}-ff": Trace(TRACE, SPAN, True),
    f"cc-{TRACE}-{SPAN}-01-more": Trace(TRACE, SPAN, True),
    f"cc-{TRACE}-{SPAN}-01": Trace(TRACE, SPAN, True),
    f"00-{TRACE}-{SPAN}-01-more": None,
    f"ff-{TRACE}-{SPAN}-01": None,
    f"cc-{TRACE}-{SPAN}-01more": None,
    f"00-{'0' * 32}-{SPAN}-01": None,
    f"00-{TRACE}-{'0' * 16}-01": None,
    f"00-{TRACE.upper()}-{SPAN}-01": None,
    f"00-{TRACE}-{SPAN}": None,
    f"00-{TRACE}-{SPAN}-1": None,
    f" 00-{TRACE}-{SPAN}-01": None,
    f"00-{TRACE}-{SPAN}-01\n": None,
    f"00-{TRACE}-{SPAN}-0100-{TRACE}-{SPAN}-01": None,
    "": None,
}


def test_a_traceparent_is_read_or_ignored() -> None:
    assert {value: read_traceparent(value.encode()) for value in TRACEPARENTS} == TRACEPARENTS


def test_what_is_passed_on_is_of_our_version() -> None:
    found = read_traceparent(f"cc-{TRACE}-{SPAN}-03-more".encode())

    assert found
    assert found.header == f"00-{TRACE}-{SPAN}-01".encode()
