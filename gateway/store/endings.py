"""What was ended since a backup was made, and stays ended when the backup is restored: SQL for either kind of database.

It runs in the restored database. Before that `SNAPSHOT` has noted, in temporary tables, what the replaced one knew.
"""

from typing import Literal

import msgspec

SNAPSHOT = """
CREATE TEMP TABLE keys_before AS SELECT id, revoked_at, expires_at FROM {replaced}api_keys;
CREATE TEMP TABLE clients_before AS SELECT id, created_at, disabled_at FROM {replaced}clients;
CREATE TEMP TABLE users_before AS SELECT id, password_hash FROM {replaced}users;
CREATE TEMP TABLE removed_before AS SELECT DISTINCT action, client_id, subject FROM {replaced}activity
    WHERE action IN ('client.remove', 'client.rename', 'key.revoke', 'key.rotate', 'user.remove');
"""
"""`replaced` is the prefix of the replaced database's tables."""

COMPARE = """
CREATE TEMP TABLE removed_clients AS SELECT id FROM clients WHERE EXISTS (
    SELECT 1 FROM removed_before WHERE action = 'client.remove' AND client_id = clients.id
    AND (subject LIKE '%(' || clients.slug || ')' OR EXISTS (
        SELECT 1 FROM removed_before AS renamed WHERE renamed.action = 'client.rename'
        AND renamed.client_id = clients.id AND renamed.subject LIKE '%(' || clients.slug || ' → %'
    ))
);
CREATE TEMP TABLE ended_keys AS
SELECT api_keys.id, clients.slug AS client, api_keys.start, api_keys.name, CASE
        WHEN known.id IS NULL THEN 'removed'
        WHEN known.revoked_at IS NOT NULL THEN 'revoked'
        WHEN known.expires_at <= '{now}' THEN 'expired'
        ELSE 'client disabled'
    END AS ended
FROM api_keys JOIN clients ON clients.id = api_keys.client_id
LEFT JOIN keys_before AS known ON known.id = api_keys.id
LEFT JOIN clients_before AS owner ON owner.id = clients.id AND owner.created_at = clients.created_at
WHERE api_keys.revoked_at IS NULL AND clients.disabled_at IS NULL
    AND (api_keys.expires_at IS NULL OR api_keys.expires_at > '{now}')
    AND (
        known.revoked_at IS NOT NULL OR known.expires_at <= '{now}' OR owner.disabled_at IS NOT NULL
        OR (known.id IS NULL AND (clients.id IN (SELECT id FROM removed_clients) OR EXISTS (
            SELECT 1 FROM removed_before WHERE action IN ('key.revoke', 'key.rotate')
            AND client_id = clients.id AND subject LIKE api_keys.start || ' %'
        )))
    )
ORDER BY api_keys.number;
CREATE TEMP TABLE removed_users AS SELECT email FROM users
WHERE password_hash IS NOT NULL AND id NOT IN (SELECT id FROM users_before) AND (
    email IN (SELECT subject FROM removed_before WHERE action = 'user.remove')
    OR client_id IN (SELECT id FROM removed_clients)
)
ORDER BY email;
"""
"""A key or user that the replaced database has not may have come later, or be of another installation: it counts as
removed only where the activity there says so. `now` is the time as the tables have it."""

KEEP_KEYS_ENDED = """
UPDATE clients SET disabled_at = owner.disabled_at FROM clients_before AS owner
WHERE owner.id = clients.id AND owner.created_at = clients.created_at
    AND owner.disabled_at IS NOT NULL AND clients.disabled_at IS NULL;
UPDATE api_keys SET revoked_at = known.revoked_at FROM keys_before AS known
WHERE known.id = api_keys.id AND known.revoked_at IS NOT NULL AND api_keys.revoked_at IS NULL;
UPDATE api_keys SET expires_at = known.expires_at FROM keys_before AS known
WHERE known.id = api_keys.id AND (api_keys.expires_at IS NULL OR known.expires_at < api_keys.expires_at);
UPDATE api_keys SET revoked_at = '{now}' WHERE id IN (SELECT id FROM ended_keys WHERE ended = 'removed');
"""

KEEP_PASSWORDS = """
UPDATE users SET password_hash = known.password_hash FROM users_before AS known WHERE known.id = users.id;
UPDATE users SET password_hash = NULL WHERE email IN (SELECT email FROM removed_users);
"""
"""A password that was changed since is not the old one again, and a removed user has none."""

SNAPSHOT_OF_SECOND_FACTORS = """
CREATE TEMP TABLE second_factors_before AS SELECT id, totp_secret, totp_last_step, totp_since FROM {replaced}users;
CREATE TEMP TABLE recovery_codes_before AS SELECT user_id, digest FROM {replaced}recovery_codes;
"""

KEEP_SECOND_FACTORS = """
UPDATE users SET totp_secret = known.totp_secret, totp_last_step = known.totp_last_step, totp_since = known.totp_since
FROM second_factors_before AS known WHERE known.id = users.id;
DELETE FROM recovery_codes WHERE user_id IN (SELECT id FROM second_factors_before);
INSERT INTO recovery_codes (user_id, digest) SELECT user_id, digest FROM recovery_codes_before
WHERE user_id IN (SELECT id FROM users);
DELETE FROM pending_sign_ins;
"""
"""One that was switched on or reset since stays so, and a recovery code that was used does not work again.

Both databases must have such tables: those of older gateways have none."""

COUNT_LOST_SECOND_FACTORS = """
SELECT count(*) FROM second_factors_before WHERE totp_since IS NOT NULL AND id IN (SELECT id FROM users)
"""
"""For a backup of an older gateway, which has no place for them."""

SIGN_OUT = """
DELETE FROM sessions;
DELETE FROM links;
"""
"""Who had signed out, and whose link was used, would be let in again."""

CLEARED = ("links", "sessions")


class EndedKey(msgspec.Struct, frozen=True):
    """A key that works in the backup and not in the database that it replaces."""

    id: str
    client: str
    start: str
    name: str
    ended: Literal["revoked", "expired", "removed", "client disabled"]


class Endings(msgspec.Struct, frozen=True):
    """What was ended since the backup. `is_known` is False where there is no database to compare with, or a broken one.

    `users` are the addresses of those who were removed: they get no password back. So many people have a second factor
    and would have none, because the backup is older than there were any: `lost_second_factors`.
    """

    keys: tuple[EndedKey, ...] = ()
    users: tuple[str, ...] = ()
    is_known: bool = True
    lost_second_factors: int = 0


NOT_KNOWN = Endings(is_known=False)


def steps(now: str, *, revive_keys: bool) -> str:
    """Return the statements that follow `SNAPSHOT`; with `revive_keys` ended keys are only listed."""
    kept = "" if revive_keys else KEEP_KEYS_ENDED
    return (COMPARE + kept + KEEP_PASSWORDS).replace("{now}", now)
