"""All long checks, one after the other, and what came of them on a page: `python -m bench.full_run [STEP …]`.

Takes about two hours. A step that fails stops no other. The page is written anew after each step, so a run that is
cut short says so. A run of chosen steps leaves the rows of the others: each row has a time and commit of its own.
Output goes to build/full-run/, a file a step.
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
    Step("pages", "README and docs/ as pasted, the service and the image on a new Debian", "make test-machine"),
    Step("coverage", "all tests with branch coverage, which has its floor", "make coverage"),
    Step(
        "windows",
        "every page wide, narrow, light, dark and in forced colours, with a lot in it",
        f"EVERY_WINDOW=1 {PYTEST} tests/browser/test_pages.py",
    ),
    Step("binary", "the one file and the folder variant through their tests", "make binary test-binary"),
    Step("kills", "50 kills lose nothing that was acknowledged", "make chaos"),
    Step("fairness", "one client's worst costs another nothing but its share", "make fairness"),
    Step("webhooks", "events reach webhooks in time while a tenth of them hang", "make bench-webhooks"),
    Step("unauthenticated", "guessed keys, slow connections and crowds without a key", "make unauthenticated"),
    Step("overload", "what is answered at ten times the capacity", "make overload"),
    Step("openapi", "what reads openapi.json finds nothing wrong with it", "make check-openapi"),
    Step("clients", "programs written for Airbyte, as their makers publish them", "make test-clients"),
    Step("soak", "mixed traffic with faults, many model steps and fuzzed requests", "make soak"),
)


@dataclass(frozen=True)
class Result:
    """How a step ended, when it began and on which commit, and its last line of output."""

    step: Step
    status: int
    began: datetime
    commit: str
    seconds: float
    last_line: str

    @property
    def row(self) -> str:
        cells = (
            self.step.name,
            self.step.shows,
            "passed" if self.status == 0 else "**failed**",
            f"{self.began:%Y-%m-%d %H:%M}",
            self.commit,
            f"{self.seconds / 60:.1f} min",
            self.last_line.replace("|", "/").strip("= ")[:120],
        )
        return f"| {' | '.join(cells)} |"


def run(step: Step) -> Result:
    """Run a step, its output in a file of its own."""
    output = OUTPUT / f"{step.name}.txt"
    now, began, commit = datetime.now(UTC), monotonic(), _commit()
    with output.open("wb") as stream:
        done = subprocess.run(["sh", "-c", step.command], cwd=ROOT, stdout=stream, stderr=stream, check=False)  # noqa: S607 - any sh
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Result(step, done.returncode, now, commit, monotonic() - began, lines[-1] if lines else "")


def _commit() -> str:
    """Name the commit; "-dirty" tells of changes. The page itself does not count: each step rewrites it.

    Asked before a step, some of which write pages of their own.
    """
    describe = ["git", "describe", "--always", "--abbrev=10", "--exclude=*"]
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE.relative_to(ROOT)}"]
    name = subprocess.check_output(describe, cwd=ROOT, text=True).strip()
    return f"{name}-dirty" if subprocess.check_output(changed, cwd=ROOT) else name


def page(results: Sequence[Result], earlier: str) -> str:
    """Return the page: what ran where, and a row a step; one that did not run now keeps its row of the page before."""
    rows = dict.fromkeys((step.name for step in STEPS), "")
    rows |= {line.split("|")[1].strip(): line for line in earlier.splitlines() if line.startswith("| ")}
    rows |= {result.step.name: result.row for result in results}
    named = {"Linux": platform.release(), **versions()}
    del named["Commit"]
    return "\n".join(
        [
            "# The last full run",
            "",
            "What takes too long for every commit: `make full` runs it and writes this page. Times are UTC.",
            "",
            f"The last of them ran on {', '.join(f'{part} {version}' for part, version in named.items())}.",
            "",
            "| Step | What it shows | Result | Began | Commit | Time | Last line |",
            "|---|---|---|---|---|---|---|",
            *(rows[step.name] or f"| {step.name} | {step.shows} | not run | | | | |" for step in STEPS),
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
    earlier = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    results = list[Result]()
    for step in steps:
        print(f"{step.name}: {step.command}", flush=True)
        results.append(run(step))
        print(f"  {'passed' if results[-1].status == 0 else 'FAILED'}, {results[-1].seconds:.0f} s", flush=True)
        PAGE.write_text(page(results, earlier), encoding="utf-8")
    return int(any(result.status for result in results))


if __name__ == "__main__":
    sys.exit(main())
