"""Rules of the table [dashboard]: what pages and mails can show."""

import math
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway.errors import SettingsError
from gateway.settings.tables import DashboardSettings

LONGEST_BRAND_NAME = 60
COLOR = re.compile("#[0-9A-Fa-f]{6}")
MAILBOX = re.compile(r"[^@\s,:/?&<>\"]+@[^@\s,:/?&<>\"]+")
LEAST_CONTRAST = 4.5
"""WCAG 2.2 §1.4.3: text is readable for people whose sight is weak."""


def check_dashboard(origins: Mapping[str, object], dashboard: DashboardSettings) -> None:
    """Check name, colour and contact. Raises SettingsError."""
    name, color, support = (origins[f"dashboard.{key}"] for key in ("name", "color", "support"))
    text = dashboard.name
    if not 1 <= len(text) <= LONGEST_BRAND_NAME or not text.isprintable() or text != text.strip():
        raise SettingsError(
            f"{name}: expected 1 to {LONGEST_BRAND_NAME} printable characters, without space at either end"
        )
    if dashboard.color:
        _check_color(color, dashboard.color)
    if dashboard.support and not _is_contact(dashboard.support):
        raise SettingsError(f"{support}: expected an address such as help@example.com or https://example.com/help")


def _check_color(origin: object, color: str) -> None:
    if not COLOR.fullmatch(color):
        raise SettingsError(f"{origin}: expected a colour such as #0a58b5")
    contrast = contrast_to_white(color)
    if contrast < LEAST_CONTRAST:
        # Rounded down, so that it is never the one that is needed.
        raise SettingsError(
            f"{origin}: {color} is too light for white text on it: its contrast is {math.floor(contrast * 10) / 10}, "
            f"and {LEAST_CONTRAST} is needed"
        )


def contrast_to_white(color: str) -> float:
    """Return the contrast of `#rrggbb` to white, 1 to 21 (WCAG 2.2, relative luminance)."""
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _linear(part: float) -> float:
    """Return one part of an sRGB colour as its share of light, 0 to 1."""
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB's own figures


def _is_contact(support: str) -> bool:
    if not support.isascii() or not support.isprintable():
        return False
    try:
        parts = urlsplit(support)
        is_page = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    return (is_page and " " not in support) or MAILBOX.fullmatch(support) is not None
