"""The statements' `:name` in psycopg's words."""

import pytest

from gateway.store.postgres.placeholders import with_psycopg_placeholders


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("a = :a AND b_2 = :b_2", "a = %(a)s AND b_2 = %(b_2)s"),
        ("a < :x OR b < :x", "a < %(x)s OR b < %(x)s"),
        ("VALUES (:a,:b)", "VALUES (%(a)s,%(b)s)"),
        ("a = ':b' AND c = :c", "a = ':b' AND c = %(c)s"),
        ("a = 'it''s :b' AND c = :c", "a = 'it''s :b' AND c = %(c)s"),
        ("a::text = :a::text", "a::text = %(a)s::text"),
        ("a LIKE '%:b' AND c = :c % 2", "a LIKE '%%:b' AND c = %(c)s %% 2"),
        ("a LIKE '%' || :a", "a LIKE '%%' || %(a)s"),
    ],
)
def test_each_parameter_gets_its_placeholder_and_all_else_stays(sql: str, expected: str) -> None:
    assert with_psycopg_placeholders(sql) == expected
