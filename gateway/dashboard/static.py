"""The style sheet and the script: read at start, cached by browsers for five minutes."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import NotFound

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {"style.css": "text/css", "dashboard.js": "text/javascript"}
STATIC_HEADERS = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}

_FILES = {name: (FOLDER / name).read_bytes() for name in MEDIA_TYPES}


async def show_static(request: Request) -> Response:
    """Send one of the two files. Raises NotFound."""
    name = request.path_params["name"]
    if name not in _FILES:
        raise NotFound
    return Response(_FILES[name], media_type=MEDIA_TYPES[name], headers=STATIC_HEADERS)
