"""What several gateways do and cost: `python -m bench.cluster`. Its tables are kept in bench/cluster-results.md."""

import argparse
import sys

from bench.cluster.backends import missing_backends
from bench.cluster.measured import measure_all
from bench.cluster.results import RESULTS, as_markdown
from bench.load import missing_packages
from bench.run import round_count, use_byte_code

ROUNDS, SECONDS = 5, 2


def main() -> int:
    use_byte_code()
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--rounds", type=round_count, default=ROUNDS, help="more make steadier figures")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each load in each round")
    options = parser.parse_args()
    if packages := missing_packages() + missing_backends():
        print(f"missing: apt-get install {' '.join(packages)}", file=sys.stderr)
        return 2
    text = as_markdown(measure_all(options.rounds, options.seconds), options.rounds, options.seconds)
    print(text)
    RESULTS.write_text(text)
    print(f"written to {RESULTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
