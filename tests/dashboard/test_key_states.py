"""In which state a key is."""

from datetime import UTC, datetime

import pytest

from gateway.auth.keys import works
from gateway.dashboard.key_states import state_of
from gateway.models import ApiKey

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
PAST = "2026-04-01T02:59:59.999Z"
NOW_TEXT = "2026-04-01T03:00:00.000Z"
SOON = "2026-04-08T03:00:00.000Z"
LATER = "2026-04-08T03:00:00.001Z"


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "successor_id", "state"),
    [
        (None, None, None, "active"),
        (LATER, None, None, "active"),
        (SOON, None, None, "expires soon"),
        (NOW_TEXT, None, None, "expired"),
        (PAST, None, None, "expired"),
        (SOON, None, "key_2", "being replaced"),
        (LATER, None, "key_2", "being replaced"),
        (PAST, None, "key_2", "expired"),
        (None, PAST, None, "revoked"),
        (PAST, PAST, "key_2", "revoked"),
        (LATER, PAST, "key_2", "revoked"),
    ],
)
def test_a_state_has_one_word(
    expires_at: str | None, revoked_at: str | None, successor_id: str | None, state: str
) -> None:
    key = ApiKey(
        id="key_1",
        client_id=1,
        start="smrt_abcd…",
        name="k",
        scope="full",
        created_at=PAST,
        expires_at=expires_at,
        revoked_at=revoked_at,
        successor_id=successor_id,
    )

    assert state_of(key, NOW) == state
    assert works(key, NOW) == (state not in ("expired", "revoked"))
