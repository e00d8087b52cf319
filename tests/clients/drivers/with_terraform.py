"""Terraform's provider 1.3, in the calls of its source: data sources are read, and what would be written is refused.

Read at airbytehq/terraform-provider-airbyte, commit 792c77e5, below internal/. The program itself needs Go's toolchain
or HashiCorp's registry.
"""

import json
from typing import Any
from urllib.parse import urlencode, urljoin

from tests.clients.drivers.calls import Told, call
from tests.clients.drivers.scene import read_scene, workspace_id

USER_AGENT = (  # sdk/sdk.go, line 155
    "speakeasy-sdk/terraform 1.3.0 2.881.17 1.0.0 github.com/airbytehq/terraform-provider-airbyte/internal/sdk"
)
TOKEN_PATH = "/v1/applications/token"  # sdk/models/shared/schemeclientcredentials.go, line 12

scene = read_scene()
base = f"{scene.address}/api/public/v1/"


def token(key_id: str, key: str) -> Told:
    """Ask for a token: sdk/internal/hooks/clientcredentials.go, lines 129-196. The path leads to the host's root."""
    form = {"client_id": key_id, "client_secret": key, "grant_type": "client_credentials"}  # lines 131-133, sorted
    headers = {"Content-Type": "application/x-www-form-urlencoded"}  # line 162
    return call("POST", urljoin(base, TOKEN_PATH), headers, urlencode(form).encode())


def sign_in(tenant: Any) -> str:
    status, answer = token(tenant.key_id, tenant.key)
    assert status == 200, answer
    assert answer["token_type"].lower() == "bearer"  # line 180
    assert isinstance(answer["expires_in"], int)  # line 34
    return f"Bearer {answer['access_token']}"  # line 93


def ask(authorization: str, method: str, path: str, content: object = None) -> Told:
    """Send a request: sdk/connections.go, lines 82-87 and 218-223."""
    headers = {"Accept": "application/json", "User-Agent": USER_AGENT, "Authorization": authorization}
    if content is None:
        return call(method, f"{base}{path}", headers)
    return call(method, f"{base}{path}", {**headers, "Content-Type": "application/json"}, json.dumps(content).encode())


def read(authorization: str, path: str) -> Any:
    """Read a data source; whatever is not 200 is an error: provider/connections_data_source.go, line 399."""
    status, answer = ask(authorization, "GET", path)
    assert status == 200, answer
    return answer


for tenant in (scene.globex, scene.acme):
    authorization = sign_in(tenant)
    workspace = workspace_id(scene.address, tenant.key)
    query = urlencode({"includeDeleted": "false", "limit": 20, "offset": 0, "workspaceIds": workspace})
    listed = read(authorization, f"connections?{query}")  # sdk/connections.go, line 192
    assert {row["connectionId"] for row in listed["data"]} == set(vars(tenant.connections).values())
    assert read(authorization, f"connections/{tenant.connections.shop}")["status"] == "active"  # line 329
    assert read(authorization, f"workspaces/{workspace}")["workspaceId"] == workspace  # sdk/workspaces.go, line 329

assert ask(authorization, "GET", f"connections/{scene.globex.connections.shop}")[0] == 404
shop = f"connections/{scene.acme.connections.shop}"
assert ask(authorization, "PATCH", shop, {"status": "inactive"})[0] in (403, 405)  # sdk/connections.go, line 492
assert ask(authorization, "DELETE", shop)[0] in (403, 405)  # line 628
assert ask(authorization, "POST", "connections", {"name": "New"})[0] in (403, 405)  # line 82
status, answer = token(scene.acme.expired_id, scene.acme.expired_key)
assert status == 401, answer
