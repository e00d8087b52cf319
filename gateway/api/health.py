"""/healthz and /readyz: for the machines that decide whether this one is asked."""

from starlette.requests import Request

from gateway.errors import Overloaded, StorageUnavailable
from gateway.resources import is_installed
from gateway.services import services_of
from gateway.web.draining import is_draining
from gateway.web.early_responses import HEALTHY
from gateway.web.middleware.errors import STOPPING
from gateway.web.responses import JSONAnswer


async def show_health(_request: Request) -> JSONAnswer:
    """Answer that the process lives."""
    return JSONAnswer(HEALTHY)


async def show_readiness(request: Request) -> JSONAnswer:
    """Answer 200 when the database takes reads and writes, and all runs without which answers are wrong, else 503.

    Airbyte's state, a refused credential, writes that fail and failing tasks of less weight are shown, but make no
    gateway unready: a load balancer would only lose all gateways at once. Raises Overloaded when the server is about
    to stop.
    """
    if is_draining(request.scope.get("state", {})):
        raise Overloaded(STOPPING)
    services = services_of(request)
    try:
        database = "read-only" if await services.store.is_read_only() else "ok"
    except StorageUnavailable:
        database = "unavailable"
    failure = services.store.health.write_failure
    stopped = [task.name for task in services.background.tasks if task.is_stopped]
    has_files = is_installed()
    is_ready = database == "ok" and not stopped and has_files
    content = {
        "status": "ready" if is_ready else "not ready",
        "database": database,
        **({"writes": f"failing: {failure}"} if failure else {}),
        "upstream": services.airbyte.state(),
        "stopped_tasks": stopped,
        "failing_tasks": [task.name for task in services.background.tasks if task.is_failing],
        **({} if has_files else {"program_files": "missing"}),
        **services.cluster.state(),
    }
    return JSONAnswer(content, status=200 if is_ready else 503)
