"""The text of the unit files by which systemd makes a backup every night."""

from gateway.deployment.systemd import UNIT_FOLDER, Installation, account, command_line, sandbox

BACKUP_FOLDER = "/var/backups/gateway"
BACKUP_SERVICE = "gateway-backup.service"
BACKUP_TIMER = "gateway-backup.timer"
KEPT_BACKUPS = 14
BACKUP_SERVICE_TEXT = """\
[Unit]
Description=Backup of the Airbyte client gateway's database
# A database on a server may be on another machine.
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={command}
# What serves comes first.
Nice=10
IOSchedulingClass=idle

{account}\
# Memory holds secrets.
LimitCORE=0

{sandbox}\
"""
BACKUP_TIMER_TEXT = """\
[Unit]
Description=Nightly backup of the Airbyte client gateway's database

[Timer]
OnCalendar=daily
# Not all machines at midnight.
RandomizedDelaySec=1h
# A machine that was off makes it up after its start.
Persistent=yes

[Install]
WantedBy=timers.target
"""


def backup_unit_files(installation: Installation) -> dict[str, str]:
    """Return the text of each unit file by its path. Names are checked by `unit_files`."""
    options = ("--keep", str(KEPT_BACKUPS), "--settings", installation.settings)
    service = BACKUP_SERVICE_TEXT.format(
        command=command_line(*installation.program, "backup", BACKUP_FOLDER, *options),
        account=account(installation),
        sandbox=sandbox(installation, BACKUP_FOLDER),
    )
    return {f"{UNIT_FOLDER}/{BACKUP_SERVICE}": service, f"{UNIT_FOLDER}/{BACKUP_TIMER}": BACKUP_TIMER_TEXT}
