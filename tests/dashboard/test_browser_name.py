"""Browsers by the name people call them."""

import pytest

from gateway.dashboard.browser_name import browser_name

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Macintosh; Intel Mac OS X 10_15_7"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/156.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64) {WEBKIT} Chrome/150.0 Safari/537.36 Edg/150.0", "Edge on Windows"),
        (f"Mozilla/5.0 ({MAC}) {WEBKIT} Chrome/150.0 Safari/537.36 OPR/120.0", "Opera on macOS"),
        (f"Mozilla/5.0 ({MAC}) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (iPad; CPU OS 26_0 like Mac OS X) CriOS/150.0 Mobile Safari/604.1", "Chrome on iPad"),
        (f"Mozilla/5.0 (Linux; Android 16; K) {WEBKIT} Chrome/150.0 Mobile Safari/537.36", "Chrome on Android"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/150.0 Safari/537.36", "Chrome on ChromeOS"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("Something for Linux", "Linux"),
        ("", "Unknown"),
    ],
)
def test_a_browser_is_called_what_people_call_it(agent: str, name: str) -> None:
    assert browser_name(agent) == name
