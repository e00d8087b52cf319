"""The style sheet and the script, read at start, and the operator's own colour and logo; browsers keep them briefly."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import NotFound
from gateway.services import services_of
from gateway.settings.brand import Brand

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {"style.css": "text/css", "dashboard.js": "text/javascript"}
STATIC_HEADERS = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
LOGO_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""An SVG is a document when somebody opens it by its address: it may draw, and run or fetch nothing."""
BRAND_SHEET = """\
:root {{ --button: {color}; --on-button: #ffffff; }}
.top {{ border-bottom: 3px solid {color}; }}
@media (prefers-color-scheme: dark) {{ button, .button {{ border-color: var(--edge); }} }}
"""
"""A dark colour is hard to see on the dark ground: there buttons have an edge."""

_FILES = {name: (FOLDER / name).read_bytes() for name in MEDIA_TYPES}


async def show_static(request: Request) -> Response:
    """Send one of the files. Raises NotFound."""
    name = request.path_params["name"]
    if name in _FILES:
        return Response(_FILES[name], media_type=MEDIA_TYPES[name], headers=STATIC_HEADERS)
    return _of_the_brand(name, services_of(request).brand.current)


def _of_the_brand(name: str, brand: Brand) -> Response:
    if name == "brand.css" and brand.color:
        return Response(BRAND_SHEET.format(color=brand.color), media_type="text/css", headers=STATIC_HEADERS)
    if name == "logo" and brand.logo:
        headers = {**STATIC_HEADERS, "Content-Security-Policy": LOGO_POLICY}
        return Response(brand.logo.content, media_type=brand.logo.media_type, headers=headers)
    raise NotFound
