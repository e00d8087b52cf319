"""The first three rows against what needs nothing but the gateway's own libraries: under a minute."""

import argparse
import sys

from bench.references import OF_THE_PROJECT
from bench.run import ROUNDS, exit_status, measure_rows, missing, use_byte_code
from bench.scores import as_text

ROWS = ("status", "refused", "jobs")


def main() -> int:
    use_byte_code()
    argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__).parse_args()
    if text := missing():
        print(text, file=sys.stderr)
        return 2
    lines, failed = measure_rows(ROWS, ROUNDS, OF_THE_PROJECT)
    print(as_text(lines))
    return exit_status(lines, failed)


if __name__ == "__main__":
    sys.exit(main())
