"""Try whether notifications arrive: a pooler in transaction mode loses them, and answers all else."""

import secrets

from gateway.settings.secret import SecretUrl
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.timings import StoreTimings

CHANNEL = "gateway_probe_"
"""Not the one that gateways listen to: they would forget what they hold."""


async def are_notifications_heard(url: SecretUrl, timings: StoreTimings, *, seconds: float) -> bool:
    """Return whether one connection hears within `seconds` what another tells. Raises psycopg.Error, TimeoutError."""
    channel = f"{CHANNEL}{secrets.token_hex(8)}"
    listener, sender = (PostgresConnection(url.reveal(), timings) for _ in range(2))
    try:
        await listener.run_first(f"LISTEN {channel}", seconds=timings.answer)
        await sender.run_first(f"NOTIFY {channel}", seconds=timings.answer)
        async for _ in listener.driver_connection.notifies(timeout=seconds, stop_after=1):
            return True
        # The server's own end, which a pooler gave us, may listen on.
        await listener.run(f"UNLISTEN {channel}", seconds=timings.answer)
        return False
    finally:
        await listener.close_all()
        await sender.close_all()
