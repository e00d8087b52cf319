"""Run the command line for `python -m gateway`."""

from gateway.cli import main

main()
