"""All long checks, one after the other, and what came of them on a page: `python -m bench.full_run [STEP …]`.

Takes about two hours. A step that fails stops no other. The page is written anew after each step, so a run that is
cut short says so. Output goes to build/full-run/, a file a step.
"""

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from gateway.resources import versions

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "full-run.md"
OUTPUT = ROOT / "build" / "full-run"
PYTEST = f"{sys.executable} -m pytest -q --no-header -p no:cacheprovider"


@dataclass(frozen=True)
class Step:
    """A command of the shell, and what it shows when it succeeds."""

    name: str
    shows: str
    command: str


STEPS = (
    Step("pages", "README and docs/ as pasted, and the service, under a booted systemd", f"{PYTEST} tests/machine"),
    Step("coverage", "all tests with branch coverage, which has its floor", "make coverage"),
    Step(
        "windows",
        "every page wide, narrow, light, dark and in forced colours, with a lot in it",
        f"EVERY_WINDOW=1 {PYTEST} tests/browser/test_pages.py",
    ),
    Step("binary", "the one file and the folder variant through their tests", "make binary test-binary"),
    Step("kills", "50 kills lose nothing that was acknowledged", "make chaos"),
    Step("fairness", "one client's worst costs another nothing but its share", "make fairness"),
    Step("unauthenticated", "guessed keys, slow connections and crowds without a key", "make unauthenticated"),
    Step("overload", "what is answered at ten times the capacity", "make overload"),
    Step("openapi", "what reads openapi.json finds nothing wrong with it", "make check-openapi"),
    Step("clients", "programs written for Airbyte, as their makers publish them", "make test-clients"),
    Step("soak", "mixed traffic with faults, many model steps and fuzzed requests", "make soak"),
)


@dataclass(frozen=True)
class Result:
    """How a step ended, and its last line of output."""

    step: Step
    status: int
    seconds: float
    last_line: str


def run(step: Step) -> Result:
    """Run a step, its output in a file of its own."""
    output = OUTPUT / f"{step.name}.txt"
    began = monotonic()
    with output.open("wb") as stream:
        done = subprocess.run(["sh", "-c", step.command], cwd=ROOT, stdout=stream, stderr=stream, check=False)  # noqa: S607 - any sh
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Result(step, done.returncode, monotonic() - began, lines[-1] if lines else "")


def page(results: Sequence[Result], steps: Sequence[Step], began: datetime) -> str:
    """Return the page: where and when it ran, and a row a step."""
    rows = [
        f"| {result.step.name} | {result.step.shows} | {'passed' if result.status == 0 else '**failed**'} "
        f"| {result.seconds / 60:.1f} min | {result.last_line.replace('|', '/')[:120]} |"
        for result in results
    ]
    rows += [f"| {step.name} | {step.shows} | not run | | |" for step in steps[len(results) :]]
    commit = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    named = {
        "Linux": platform.release(),
        **versions(),
        "Commit": subprocess.check_output(commit, cwd=ROOT, text=True).strip(),
    }
    return "\n".join(
        [
            "# The last full run",
            "",
            "What takes too long for every commit: `make full` runs it and writes this page.",
            "",
            f"{began:%d %B %Y %H:%M} UTC. {', '.join(f'{part} {version}' for part, version in named.items())}.",
            "",
            "| Step | What it shows | Result | Time | Last line |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    names = [step.name for step in STEPS]
    parser = argparse.ArgumentParser(prog="python -m bench.full_run", description=__doc__)
    parser.add_argument(
        "steps", nargs="*", choices=[*names, []], metavar="STEP", help=f"of {', '.join(names)}; else all"
    )
    chosen = parser.parse_args().steps
    steps = [step for step in STEPS if not chosen or step.name in chosen]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    began, results = datetime.now(UTC), list[Result]()
    for step in steps:
        print(f"{step.name}: {step.command}", flush=True)
        results.append(run(step))
        print(f"  {'passed' if results[-1].status == 0 else 'FAILED'}, {results[-1].seconds:.0f} s", flush=True)
        PAGE.write_text(page(results, steps, began), encoding="utf-8")
    return int(any(result.status for result in results))


if __name__ == "__main__":
    sys.exit(main())
