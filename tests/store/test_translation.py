"""What PostgreSQL is given instead of SQL that is written for both."""

import pytest

from gateway.store.translation import translate


@pytest.mark.parametrize(
    ("sql", "text", "order"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("a = ? AND b = ?", "a = %s AND b = %s", (0, 1)),
        ("a = ?2 AND b = ?1 AND c = ?2", "a = %s AND b = %s AND c = %s", (1, 0, 1)),
        ("a LIKE '%?' AND b = ? % 2", "a LIKE '%%?' AND b = %s %% 2", (0,)),
        ("a = 'it''s ?' AND b = ?", "a = 'it''s ?' AND b = %s", (0,)),
        (
            "id IN (SELECT value FROM json_each(?2)) AND a = ?1",
            "id IN (SELECT value FROM jsonb_array_elements_text(CAST(%s AS JSONB)) AS listed(value)) AND a = %s",
            (1, 0),
        ),
    ],
)
def test_a_statement(sql: str, text: str, order: tuple[int, ...]) -> None:
    assert translate(sql) == (text, order)
