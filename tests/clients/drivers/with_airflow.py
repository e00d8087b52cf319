"""Airflow's provider: hook, operator, sensor and trigger, as a DAG uses them."""

import asyncio
import json
import os
import time
from typing import Any

from tests.clients.drivers.scene import failure_of, prepare, read_scene

scene = read_scene()


def connection(name: str, key_id: str, key: str) -> None:
    """Set up an Airflow connection, as an administrator does."""
    content = {"conn_type": "airbyte", "host": f"{scene.address}/api/public/v1", "login": key_id, "password": key}
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(content)


connection("acme", scene.acme.key_id, scene.acme.key)
connection("globex", scene.globex.key_id, scene.globex.key)
connection("expired", scene.acme.expired_id, scene.acme.expired_key)

from airflow.providers.airbyte.hooks.airbyte import AirbyteHook  # noqa: E402 - reads the environment
from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator  # noqa: E402
from airflow.providers.airbyte.sensors.airbyte import AirbyteJobSensor  # noqa: E402
from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger  # noqa: E402


def sync(connection_id: str, name: str = "acme", **options: Any) -> Any:
    """Run the operator's task."""
    task = AirbyteTriggerSyncOperator(
        task_id="task", connection_id=connection_id, airbyte_conn_id=name, wait_seconds=1, **options
    )
    return task.execute({})


async def event_of(job_id: int) -> Any:
    """Return what a deferred task is woken by."""
    trigger = AirbyteSyncTrigger(job_id=job_id, conn_id="acme", end_time=time.time() + 60, poll_interval=1)
    (event,) = [event async for event in trigger.run()]
    return event.payload


hook = AirbyteHook("acme")
assert hook.test_connection() == (True, "Connection successfully tested")
own = scene.acme.connections
for tenant in ("acme", "globex"):
    details = AirbyteHook(tenant).get_job_details(getattr(scene, tenant).job)
    assert details.connection_id == getattr(scene, tenant).connections.shop
assert "404" in failure_of(lambda: sync(scene.globex.connections.shop))
assert "404" in failure_of(lambda: hook.get_job_details(scene.globex.job))

assert sync(own.shop) > 0
assert "Job failed" in failure_of(lambda: sync(own.failing))

prepare("queued")
job_id = sync(own.queued, asynchronous=True)
sensor = AirbyteJobSensor(task_id="sensor", airbyte_job_id=job_id, airbyte_conn_id="acme")
assert not sensor.poke({})
assert asyncio.run(event_of(job_id))["status"] == "success"
assert sensor.poke({})

prepare("running")
job_id = sync(own.running, asynchronous=True)
assert sync(own.running, asynchronous=True) == job_id
assert hook.cancel_job(job_id).status == "cancelled"
assert "cancelled" in failure_of(lambda: hook.wait_for_job(job_id, wait_seconds=1))

assert "401" in failure_of(lambda: sync(own.shop, "expired"))
