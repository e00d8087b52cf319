"""What log and figures tell of calls of programs written for Airbyte."""

from typing import Any

import httpx2

from gateway.app import build_gate, create_app
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant
from tests.support import bearer

AGENT = {"User-Agent": "speakeasy-sdk/python 1.0.1 2.911.0 1.0.0 airbyte-api"}


async def test_the_line_names_route_client_and_program(acme: Tenant) -> None:
    lines: list[dict[str, Any]] = []
    services = acme.world.services
    app = create_app(services, build_gate(services, lambda _event, fields: lines.append(dict(fields))))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://gateway") as http:
        for path in ("/connections", f"/connections/{acme.airbyte_id}/", "/tags"):
            await http.get(PUBLIC_API + path, headers=bearer(acme.key) | AGENT)
        await http.post("/api/v1/state/get", headers=bearer(acme.key) | {"User-Agent": acme.key.text})
        await http.get("/api/v1/status", headers=bearer(acme.key) | AGENT)

    assert [(line["route"], line["status"], line.get("program")) for line in lines] == [
        (f"{PUBLIC_API}/connections", 200, "airbyte-api 1.0.1 (python)"),
        (f"{PUBLIC_API}/connections/{{id}}", 200, "airbyte-api 1.0.1 (python)"),
        (f"{PUBLIC_API}/*", 403, "airbyte-api 1.0.1 (python)"),
        ("/api/v1/*", 403, None),
        ("/api/v1/status", 200, None),
    ]
    assert {line["client"] for line in lines} == {"acme"}
    assert "upstream_ms" in lines[1]
