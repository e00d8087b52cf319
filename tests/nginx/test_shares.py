"""A client whose callers wait for a slow Airbyte costs the others nothing, through nginx."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.faults.callers import UNENDING, callers_of, jobs_of, served, statuses, trigger_of, until_waiting
from tests.faults.conftest import front_of, theirs
from tests.faults.fault import held
from tests.nginx.support import running_nginx

A, B = theirs(1), theirs(2)
CALLERS = 165


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that production runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("are_closed", [False, True], ids=["waiting", "closed"])
@pytest.mark.parametrize("route", ["trigger", "jobs"])
async def test_many_callers_of_one_slow_call_keep_no_other_client_from_an_answer(
    tmp_path: Path, route: str, *, are_closed: bool
) -> None:
    release = asyncio.Event()
    (tmp_path / "nginx").mkdir()
    async with front_of(tmp_path, deadlines=UNENDING) as front, served(front) as direct:
        front.airbyte.switch(
            route, held(release), when=lambda request: request.query("connectionId") == A or A.encode() in request.body
        )
        port = direct.address[1]
        with running_nginx(tmp_path / "nginx", port) as nginx:
            async with callers_of(nginx.address) as callers:
                asked = trigger_of(front.tenant) if route == "trigger" else jobs_of(front.tenant)
                waiting = await callers.calls(*[asked] * CALLERS)
                await until_waiting(front, CALLERS)
                if are_closed:
                    await asyncio.gather(*(caller.leave() for caller in waiting))
                    await until_waiting(front, 0)
                other = await front.add_tenant("globex", B)

                assert await statuses(await callers.calls(jobs_of(other), trigger_of(other))) == [200, 200]

                release.set()
                assert are_closed or await statuses(waiting) == [200] * CALLERS
