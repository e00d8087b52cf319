"""What one client's worst costs another: `python -m bench.fairness`, a quarter of an hour; `--short` for two minutes.

For each scene the same load of others is measured first beside a quiet A, then beside his worst. The table is kept in
docs/fairness.md. Exit status 1 when one of the others was refused; how long they waited is told, and decides nothing on
a machine that is busy with something else.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.fairness.airbyte import FiveThreads
from bench.fairness.load import Sockets, Tally, offer
from bench.fairness.scenes import SCENES, Scene
from bench.fairness.world import Tenant, build_tenants
from bench.faulty import SETTINGS, serving
from bench.processes import Cores, free_port, pinned, running
from bench.report import print_table, verdict
from bench.wire import request_for
from gateway.sandbox import Sandbox

FULL_SECONDS, SHORT_SECONDS = 120.0, 3.0
QUIET_SECONDS, SHORT_QUIET_SECONDS = 15.0, 2.0
SETTLE_SECONDS = 0.5
HEALTH_PER_SECOND = 5.0
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "fairness.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
HEADINGS = (
    *("Scene", "A offered", "answered", "refused", "Others offered", "refused"),
    *("p50 quiet", "p50 beside A", "p99 quiet", "p99 beside A", "at most", "/healthz p99"),
)


@dataclass
class Result:
    """Of one scene: A's requests, the others' beside a quiet A and beside his worst, and /healthz meanwhile."""

    scene: Scene
    attack: Tally
    quiet: Tally
    beside: Tally
    health: Tally

    @property
    def longest_p99(self) -> float:
        return self.scene.times * self.quiet.quantile(0.99) + self.scene.more_seconds

    def cells(self) -> tuple[str, ...]:
        times = [
            f"{1000 * seconds:.0f} ms"
            for seconds in (
                *(tally.quantile(share) for share in (0.5, 0.99) for tally in (self.quiet, self.beside)),
                self.longest_p99,
                self.health.quantile(0.99),
            )
        ]
        counts = (self.attack.offered, self.attack.answered, self.attack.refused, self.beside.offered)
        return (self.scene.name, *map(str, counts), str(self.beside.refused), *times)


async def measure(port: int, tenants: dict[str, Tenant], scene: Scene, *, quiet: float, seconds: float) -> Result:
    """Run one scene: the others alone, then beside the attack."""
    result = Result(scene, Tally(), Tally(), Tally(), Tally())
    await _others(port, tenants, scene, result.quiet, quiet)
    attackers, doctors = Sockets(port, result.attack), Sockets(port, result.health)
    attack = asyncio.ensure_future(scene.attack(tenants, attackers, seconds + 2 * SETTLE_SECONDS))
    await asyncio.sleep(SETTLE_SECONDS)
    await asyncio.gather(
        _others(port, tenants, scene, result.beside, seconds),
        offer(doctors.ask, _for_ever(request_for("/healthz")), rate=HEALTH_PER_SECOND, seconds=seconds),
    )
    await attack
    attackers.close()
    doctors.close()
    return result


async def _others(port: int, tenants: dict[str, Tenant], scene: Scene, tally: Tally, seconds: float) -> None:
    sockets = Sockets(port, tally)
    work = [
        offer(sockets.ask, requests, rate=rate, seconds=seconds)
        for slug in scene.victims
        for requests, rate in (
            (tenants[slug].jobs(), scene.reads_per_second),
            (tenants[slug].triggers(), scene.triggers_per_second),
        )
        if rate
    ]
    await asyncio.gather(*work)
    sockets.close()


def _for_ever(request: bytes) -> Iterator[bytes]:
    while True:
        yield request


@contextmanager
def gateway(folder: Path) -> Iterator[tuple[int, dict[str, Tenant], FiveThreads]]:
    """Start a gateway of its own, so that nothing of a scene before is left, in front of its own Airbyte."""
    sandbox, port, cores = Sandbox(empty=True), free_port(), Cores()
    airbyte = FiveThreads(sandbox.app)
    with ExitStack() as stack:
        stack.enter_context(pinned(cores.load))
        address = stack.enter_context(serving(airbyte))
        settings = folder / "settings.toml"
        settings.write_text(SETTINGS.format(port=port, airbyte=address))
        tenants = asyncio.run(build_tenants(settings, sandbox))
        command = [sys.executable, "-m", "gateway", "serve", "--settings", str(settings)]
        process = stack.enter_context(running(command, port, folder / "gateway.log", core=cores.server))
        yield port, tenants, airbyte
        # A stop would wait for what A still waits for.
        process.kill()
        airbyte.end()


def write_page(results: list[Result], seconds: float) -> None:
    """Replace the figures of the page."""
    rows = [HEADINGS, ["---"] * len(HEADINGS), *(result.cells() for result in results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    told = f"Measured on {datetime.now(UTC):%-d %B %Y}, {seconds:.0f} seconds a scene, by `make fairness`:"
    PAGE.write_text(f"{before}{BEGIN}\n{told}\n\n{table}\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--short", action="store_true", help="refusals only: too short to tell how long others wait")
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS, help="how long A does his worst, scene by scene")
    options = parser.parse_args()
    quiet, seconds = (QUIET_SECONDS, options.seconds)
    if options.short:
        quiet, seconds = SHORT_QUIET_SECONDS, SHORT_SECONDS
    results = []
    for scene in SCENES:
        with tempfile.TemporaryDirectory(prefix="fairness-") as name, gateway(Path(name)) as (port, tenants, airbyte):
            airbyte.seconds_for = scene.seconds_for(tenants)
            results.append(asyncio.run(measure(port, tenants, scene, quiet=quiet, seconds=seconds)))
            print(f"{scene.name}: done", file=sys.stderr, flush=True)
    print_table(HEADINGS, [result.cells() for result in results])
    for result in results:
        if result.beside.quantile(0.99) > result.longest_p99:
            print(f"SLOW: {result.scene.name}")
    broken = [f"{result.scene.name}: {_refusals(result)}" for result in results if result.beside.refused]
    lasted = seconds + 2 * SETTLE_SECONDS
    broken += [
        f"{result.scene.name}: {result.attack.answered} answered, at most {most:.0f} allowed"
        for result in results
        if result.attack.answered > (most := result.scene.most_answered(lasted))
    ]
    if not (options.short or broken):
        write_page(results, seconds)
    return verdict(broken)


def _refusals(result: Result) -> str:
    return f"{result.beside.refused} of {result.beside.offered} refused beside A: {dict(result.beside.statuses)}"


if __name__ == "__main__":
    sys.exit(main())
