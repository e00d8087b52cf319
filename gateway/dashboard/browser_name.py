"""The short name of the browser that a User-Agent header describes. Pure."""

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
"""Mark in the header → name. The order matters: Edge's header also has Chrome's mark, and Chrome's has Safari's."""


def browser_name(agent: str) -> str:
    """Return `Firefox on Linux`, or the header itself when it names neither a browser nor a system."""
    browser, system = (next((name for mark, name in pairs if mark in agent), "") for pairs in (BROWSERS, SYSTEMS))
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or agent or "Unknown"
