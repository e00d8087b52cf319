"""The scene that each client meets: two tenants of one Airbyte, and what is prepared for it on the way."""

from base64 import b64encode
from dataclasses import asdict, dataclass

import httpx2

from gateway.provisioning.keys import NewKey
from gateway.sandbox import Pace, Sandbox, Stream
from gateway.sandbox.history import JobQuery
from gateway.sandbox.timeline import Outcome, Status, Step
from gateway.services import Services
from gateway.web.compatible_paths import PUBLIC_API

TENANTS = ("acme", "globex")
"""The first does everything. The second is there to be seen by nobody else."""
CONNECTIONS: dict[str, tuple[str, Outcome]] = {
    "shop": ("shopify", "succeeds"),
    "failing": ("stripe", "fails"),
    "queued": ("postgres", "succeeds"),
    "running": ("mysql", "succeeds"),
}
"""Of each tenant: the source's kind, and what becomes of a sync."""
PACE = Pace(pending_seconds=2.0, running_seconds=4.0)
SHORT_LIFE = "1s"
"""Of the key that has expired when a client comes."""
PREPARED: dict[str, tuple[tuple[float, Status], ...]] = {
    "queued": ((0.0, "queued"), (4.0, "running"), (7.0, "succeeded")),
    "running": ((0.0, "running"), (8.0, "succeeded")),
}
"""Syncs that somebody else starts, of the first tenant's connection of the same name: statuses after seconds."""


@dataclass(frozen=True)
class Tenant:
    """What one tenant's program is told; connections are Airbyte's ids by name."""

    key_id: str
    key: str
    expired_id: str
    expired_key: str
    connections: dict[str, str]
    job: int


class Scene:
    """A sandbox and the tenants that have connections in it."""

    def __init__(self, sandbox: Sandbox, tenants: dict[str, Tenant]) -> None:
        self.sandbox = sandbox
        self.tenants = tenants

    def told(self, address: str) -> dict[str, object]:
        """Return what a driver is told."""
        return {"address": address, **{slug: asdict(tenant) for slug, tenant in self.tenants.items()}}

    def prepare(self, what: str, now: float) -> None:
        """Let a sync of `PREPARED` begin now."""
        steps = tuple(Step(now + after, status) for after, status in PREPARED[what])
        connection_id = self.tenants[TENANTS[0]].connections[what]
        self.sandbox.world.put_job(connection_id, steps, job_type="sync", rows=1_000, size=512_000)

    def jobs_of(self, slug: str) -> set[int]:
        """Return the ids of all jobs of a tenant's connections."""
        own = set(self.tenants[slug].connections.values())
        return {
            job.job_id for job, _ in self.sandbox.world.history.select(JobQuery(limit=1000)) if job.connection_id in own
        }


async def set_up(services: Services, sandbox: Sandbox, now: float) -> Scene:
    """Create the tenants, with keys, connections and a job of an hour ago each."""
    sandbox.world.pace = PACE
    workspace = sandbox.world.add_workspace("Shared").workspace_id
    tenants = {}
    for slug in TENANTS:
        await services.clients.add(slug=slug, name=slug.title(), plan="free")
        connections = {}
        for name, (kind, outcome) in CONNECTIONS.items():
            theirs = sandbox.world.add_connection(
                workspace, kind, outcome=outcome, streams=(Stream(f"{slug}_{name}"), Stream(f"{slug}_{name}_items"))
            ).connection_id
            await services.connections.add(slug, connector_type=kind, label=f"{name} of {slug}", airbyte_id=theirs)
            connections[name] = theirs
        job = sandbox.world.add_job(connections["shop"], created_at=now - 3600)
        key = await services.keys.create(slug, name="program", scope="full", expires=None, rate=None)
        expired = await services.keys.create(slug, name="expired", scope="full", expires=SHORT_LIFE, rate=None)
        tenants[slug] = _tenant(key, expired, connections, job.job_id)
    return Scene(sandbox, tenants)


def _tenant(key: NewKey, expired: NewKey, connections: dict[str, str], job: int) -> Tenant:
    return Tenant(key.record.id, key.text, expired.record.id, expired.text, connections, job)


async def names_of(scene: Scene, http: httpx2.AsyncClient, address: str) -> dict[str, str]:
    """Return a name for each id, key and address of the scene, by what it is: `{"3f…": "<acme.workspace>"}`."""
    names = {address: "<address>"}
    for slug, tenant in scene.tenants.items():
        for kind, key_id, key in (("", tenant.key_id, tenant.key), ("expired ", tenant.expired_id, tenant.expired_key)):
            basic = b64encode(f"{key_id}:{key}".encode()).decode()
            names |= {key_id: f"<{slug}.{kind}key id>", key: f"<{slug}.{kind}key>", basic: f"<{slug}.{kind}basic>"}
        names |= {airbyte_id: f"<{slug}.connection {name}>" for name, airbyte_id in tenant.connections.items()}
        names |= await _derived_names(slug, tenant, http)
    return names


async def _derived_names(slug: str, tenant: Tenant, http: httpx2.AsyncClient) -> dict[str, str]:
    """Return names of the ids that the gateway derives for the tenant."""
    names = {}
    for noun in ("workspace", "source", "destination"):
        answer = await http.get(f"{PUBLIC_API}/{noun}s", headers={"Authorization": f"Bearer {tenant.key}"})
        for number, row in enumerate(answer.raise_for_status().json()["data"]):
            names[row[f"{noun}Id"]] = f"<{slug}.{noun} {number}>"
            if "definitionId" in row:
                names[row["definitionId"]] = f"<{slug}.{noun} definition {row[f'{noun}Type']}>"
    return names
