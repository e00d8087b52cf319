"""`gateway …` that has time for Valkey, run as a file: for tests that count every call, however busy the machine.

A gateway as it is shipped waits 75 ms, and then counts by itself.
"""

from functools import partial
from importlib import import_module

from gateway.cli import main
from gateway.cluster.timings import ClusterTimings, ValkeyTimings
from gateway.services import Timings, build_services

PATIENT = Timings(cluster=ClusterTimings(valkey=ValkeyTimings(patience=20.0)))

if __name__ == "__main__":
    import_module("gateway.cli.serve").build_services = partial(build_services, timings=PATIENT)  # type: ignore[attr-defined]  # as the command has it
    main()
