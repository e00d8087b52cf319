"""The gateway against the least that could do its work: `python -m bench.quick [ROW …]`, under a minute.

Rows: status, jobs, 401, 429; all of them if none is named.
"""

import argparse
import statistics
import sys

from bench.arena import Arena, open_arena
from bench.load import Target, measure, missing_packages
from bench.processes import Cores

ROUNDS = 5
ROWS = ("status", "jobs", "401", "429")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all of them by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; known are {', '.join(ROWS)}")
    if missing := missing_packages():
        print(f"missing: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    cores = Cores()
    if not cores.are_apart:
        print("only one core: the load shares it with the servers, so the ratios flatter the slower one")
    with open_arena(cores) as arena:
        compare(arena, options.rows or ROWS, options.rounds)
    return 0


def compare(arena: Arena, rows: list[str] | tuple[str, ...], rounds: int) -> None:
    """Print a line for each row: medians over rounds. What is compared is measured one right after the other."""
    pairs = {name: pair for name, pair in pairs_of(arena).items() if name in rows}
    for target in {target.name: target for pair in pairs.values() for target in pair}.values():
        warm_up(target)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for _ in range(rounds):
        for name, (ours, reference) in pairs.items():
            rates[name].append((measure(ours), measure(reference)))
    print(f"{'row':8}{'gateway/s':>12}{'reference/s':>14}  {'reference':14}{'ratio':>7}   {'lowest-highest':14}")
    for name, (_, reference) in pairs.items():
        ratios = [ours / theirs for ours, theirs in rates[name]]
        print(
            f"{name:8}{statistics.median(ours for ours, _ in rates[name]):12.0f}"
            f"{statistics.median(theirs for _, theirs in rates[name]):14.0f}"
            f"  {reference.name:14}{statistics.median(ratios):7.2f}   {min(ratios):.2f}-{max(ratios):.2f}"
        )


def pairs_of(arena: Arena) -> dict[str, tuple[Target, Target]]:
    """Row → the gateway's target and what it is measured against."""
    return {
        "status": (arena.status, arena.bare),
        "jobs": (arena.jobs, arena.passthrough),
        "401": (arena.unauthorized, arena.bare),
        "429": (arena.limited, arena.bare),
    }


def warm_up(target: Target) -> None:
    """One uncounted second; its very first answer on the exhausted key is no refusal yet."""
    try:
        measure(target)
    except RuntimeError:
        if not target.refused:
            raise


if __name__ == "__main__":
    sys.exit(main())
