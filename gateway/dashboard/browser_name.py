"""What people call the browser that a User-Agent header describes at length. Pure."""

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
"""Each pair's first part is in the header of those and of none before: they all claim to be each other."""


def browser_name(agent: str) -> str:
    """`Firefox on Linux`; the header itself when it tells neither."""
    browser, system = (next((name for mark, name in pairs if mark in agent), "") for pairs in (BROWSERS, SYSTEMS))
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or agent or "Unknown"
