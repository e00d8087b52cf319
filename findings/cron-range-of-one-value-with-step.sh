#!/usr/bin/env bash
# A range of one value with a step, such as minute 5-5/10, has three meanings in three cron libraries of Python, and
# none of them is minute 5 alone: cronsim 2.8 takes it for 5/10 and goes on to the end of the hour; croniter 7.0.0 goes
# round the hour, in steps that leave out minute 5 itself; APScheduler 3.11.3 refuses it. A program that shows the next
# run of somebody else's schedule tells a wrong time, where that one's own program reads a range as a range.
# Seen on 30 November 2026 with Python 3.11, from 2026-04-01T00:00Z on:
#   croniter: 00:10 00:20 00:30 00:40
#   cronsim: 00:05 00:15 00:25 00:35
#   APScheduler: Error validating expression '5-5/10': the step value (10) is higher than the total range ... (0)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8 APScheduler==3.11.3
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from datetime import datetime, timezone
from itertools import islice

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

EXPRESSION = "5-5/10 * * * *"
START = datetime(2026, 4, 1, tzinfo=timezone.utc)


def shown(times):
    return [time.strftime("%H:%M") for time in islice(times, 4)]


in_croniter = shown(croniter(EXPRESSION, START).all_next(datetime))
in_cronsim = shown(CronSim(EXPRESSION, START))
try:
    CronTrigger.from_crontab(EXPRESSION, timezone="UTC")
    in_apscheduler = "accepted"
except ValueError as error:
    in_apscheduler = str(error)
print("croniter:", *in_croniter)
print("cronsim:", *in_cronsim)
print("APScheduler:", in_apscheduler)
sys.exit(
    0
    if in_croniter == ["00:10", "00:20", "00:30", "00:40"]
    and in_cronsim == ["00:05", "00:15", "00:25", "00:35"]
    and "higher than the total range" in in_apscheduler
    else 1
)
PYTHON
