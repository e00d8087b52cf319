"""How long the doctor waits for each thing it asks."""

import msgspec


class DoctorTimings(msgspec.Struct, frozen=True):
    """Seconds. What a check waits for adds up to less than the check has, so that it can still say what it found."""

    everything: float = 28.0
    """With start and end of the process it is over in half a minute, whatever hangs."""

    machine_check: float = 1.0
    """For each check of settings, files and disk."""
    stored_check: float = 2.0
    whole_read: float = 10.0
    """For reading the whole database file."""
    notification_check: float = 4.0
    limit_check: float = 4.0
    serving_check: float = 9.5
    address_check: float = 4.0
    """For each of name and certificate."""
    release_check: float = 2.0
    airbyte_check: float = 13.0
    config_check: float = 6.0

    notification: float = 1.5
    """From one connection to the database to another."""
    local_probe: float = 1.5
    """The gateway on this machine."""
    public_probe: float = 3.0
    resolve: float = 3.0
    handshake: float = 3.0
    answer: float = 6.0
    """Airbyte's answer to one call; two are made."""
    release_probe: float = 1.5
    config_probe: float = 2.0
    """All that is asked about a call to the Config API that failed."""
    diagnosis: float = 5.0
    """All that is asked about a call to Airbyte that failed."""
    diagnosis_probe: float = 2.0
