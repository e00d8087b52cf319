"""What people see as the gateway's own: its name, logo, colour and whom to ask."""

import re
from pathlib import Path

import msgspec

from gateway.errors import SettingsError
from gateway.settings.tables import Settings

DEFAULT_NAME = "Gateway"
MOST_LOGO_BYTES = 100_000
PNG_START = b"\x89PNG\r\n\x1a\n"
COMMENTS = rb"(?:<!--[^-]*+(?:-(?!->)[^-]*+)*-->\s*+)*"
SVG_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*\?>\s*+)?%b(?:<!DOCTYPE\s+svg[^>\[]*>\s*+%b)?<svg[\s>]" % (COMMENTS, COMMENTS)
)
"""A document whose root is `svg`. Entities of its own are refused: nothing of a picture needs them.

Comments are possessive (`+` behind a quantifier): tried again in each other way, twenty of them take seconds.
"""


class Logo(msgspec.Struct, frozen=True):
    """A picture, and what kind it is by its content."""

    content: bytes
    media_type: str


class Brand(msgspec.Struct, frozen=True):
    """What people see. `color` is `#rrggbb`, `support` an e-mail address or a page's; both may be empty."""

    name: str = DEFAULT_NAME
    logo: Logo | None = None
    color: str = ""
    support: str = ""

    @property
    def in_words(self) -> str:
        """The name within a sentence; `Gateway` alone is none."""
        return "this gateway" if self.name == DEFAULT_NAME else self.name

    @property
    def support_words(self) -> str:
        """What a link to `support` says."""
        return self.support.removeprefix("https://").rstrip("/")

    @property
    def support_link(self) -> str:
        """Where a link to `support` leads; empty without one."""
        return f"mailto:{self.support}" if self.support and "://" not in self.support else self.support


class CurrentBrand:
    """The brand that holds now: settings that are read again may change it."""

    def __init__(self, brand: Brand) -> None:
        self.current = brand

    def change(self, brand: Brand) -> None:
        """Show `brand` from now on."""
        self.current = brand


def read_brand(settings: Settings) -> Brand:
    """Return what the settings say, with the logo read. Raises SettingsError."""
    dashboard = settings.dashboard
    logo = _read_logo(settings.logo_file) if settings.logo_file else None
    return Brand(dashboard.name, logo, dashboard.color, dashboard.support)


def _read_logo(path: Path) -> Logo:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_LOGO_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"dashboard.logo_file: {path} cannot be read: {error.strerror}") from None
    if len(content) > MOST_LOGO_BYTES:
        raise SettingsError(f"dashboard.logo_file: {path} has more than {MOST_LOGO_BYTES // 1000} KB")
    if content.startswith(PNG_START):
        return Logo(content, "image/png")
    if SVG_START.match(content):
        return Logo(content, "image/svg+xml")
    raise SettingsError(f"dashboard.logo_file: {path} is neither an SVG nor a PNG")
