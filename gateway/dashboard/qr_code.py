"""Draw a text as a QR code, in SVG that stands in the page itself: the policy of pages allows no styles within it."""

from markupsafe import Markup

QUIET_ZONE = 4
"""Modules of white around it, which cameras need (ISO/IEC 18004)."""


def qr_code(text: str) -> Markup:
    """Return the picture, black on white also in dark colours: many apps read no other."""
    import segno  # noqa: PLC0415 - most processes never draw one

    code = segno.make_qr(text, error="m")
    picture = code.svg_inline(
        border=QUIET_ZONE, dark="#000", light="#fff", omitsize=True, svgclass="qr-code", lineclass=None
    )
    return Markup(picture)  # noqa: S704 - numbers that segno wrote; the text is not in it
