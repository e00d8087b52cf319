"""Pages are imported when one is first asked for: a gateway that only serves the API has nothing of them."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Match
from starlette.types import ASGIApp

from gateway.web.lazy_mount import LazyMount
from tests.support import BOUND_SECONDS

ROOT = Path(__file__).parents[2]
PAGES_ALONE = ("gateway.dashboard", "jinja2", "markupsafe", "argon2", "zxcvbn")
"""What only pages need, and for the last two only passwords."""
IN_A_PROCESS_OF_ITS_OWN = """
import asyncio, sys
from pathlib import Path
import gateway.cli.serve
from gateway.telemetry.log import configure_log
from tests.support import bearer, running_gateway

def imported():
    return ",".join(name for name in sys.argv[2:] if name in sys.modules)

async def main():
    async with running_gateway(Path(sys.argv[1])) as world:
        key = await world.client_with_key()
        for path in ("/api/v1/status", "/api/v1/connections", "/healthz", "/readyz", "/metrics", "/openapi.json"):
            answer = await world.http.get(path, headers=bearer(key))
            assert answer.status_code == 200, answer.text
        print(f"API: {imported()}")
        assert (await world.http.get("/docs/api")).status_code == 200
        print(f"pages: {imported()}")

configure_log(level="warning", style="console")
asyncio.run(main())
"""


def mounted(build: Callable[[], ASGIApp]) -> httpx2.AsyncClient:
    app = Starlette(routes=[LazyMount(("/docs", "/dashboard"), build)])
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway")


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("/", True),
        ("/docs", True),
        ("/docs/", True),
        ("/docs/api", True),
        ("/dashboard", True),
        ("/dashboard/sign-in", True),
        ("/dashboards", False),
        ("/docs.html", False),
        ("/api/v1/status", False),
        ("//docs/api", False),
        ("", False),
    ],
)
def test_which_paths_are_pages(path: str, *, is_page: bool) -> None:
    mount = LazyMount(("/docs", "/dashboard"), lambda: PlainTextResponse("built"))

    match, _ = mount.matches({"type": "http", "path": path, "method": "GET"})

    assert match == (Match.FULL if is_page else Match.NONE)
    assert mount.matches({"type": "websocket", "path": path})[0] == Match.NONE


async def test_it_is_built_once_in_a_thread_while_others_wait() -> None:
    threads = []
    release = threading.Event()

    def build() -> ASGIApp:
        threads.append(threading.current_thread())
        assert release.wait(BOUND_SECONDS)
        return PlainTextResponse("built")

    async with mounted(build) as http:
        asking = [asyncio.create_task(http.get("/dashboard")) for _ in range(3)]
        while not threads:
            await asyncio.sleep(0)
        assert not any(task.done() for task in asking)
        release.set()
        answers = [*await asyncio.gather(*asking), await http.get("/docs/api")]

    assert [answer.text for answer in answers] == ["built"] * 4
    (thread,) = threads
    assert thread is not threading.main_thread()


async def test_a_build_that_failed_is_tried_again() -> None:
    outcomes = iter([MemoryError("no room"), None])

    def build() -> ASGIApp:
        if (error := next(outcomes)) is not None:
            raise error
        return PlainTextResponse("built")

    async with mounted(build) as http:
        with pytest.raises(MemoryError):
            await http.get("/docs/api")
        assert (await http.get("/docs/api")).text == "built"


def test_the_api_imports_nothing_of_the_pages(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, str(tmp_path), *PAGES_ALONE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )

    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == ["API: ", "pages: gateway.dashboard,jinja2,markupsafe"]
