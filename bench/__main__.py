"""One table of what the gateway costs, beside what could do its work otherwise: `python -m bench [ROW …]`.

Exit status 1 when a target is missed, stretches apart. With all rows the table is kept in results.md.
"""

import argparse
import sys

from bench.references import REFERENCES, is_ready
from bench.results import RESULTS, write_results
from bench.rows import ROWS
from bench.run import ROUNDS, exit_status, measure_rows, missing, round_count, use_byte_code
from bench.scores import as_text


def main() -> int:
    use_byte_code()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all of them by default")
    parser.add_argument("--rounds", type=round_count, default=ROUNDS, help="more make steadier figures")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; known are {', '.join(ROWS)}")
    if text := missing() or ("" if is_ready() else "the references are not installed: use make bench"):
        print(text, file=sys.stderr)
        return 2
    lines, failed = measure_rows(options.rows or list(ROWS), options.rounds, frozenset(REFERENCES))
    print(as_text(lines))
    if not options.rows and not failed:
        write_results(lines, options.rounds)
        print(f"written to {RESULTS}")
    return exit_status(lines, failed)


if __name__ == "__main__":
    sys.exit(main())
