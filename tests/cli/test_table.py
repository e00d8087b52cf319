"""Tables that fit the terminal."""

from gateway.cli.table import lay_out

ROWS = [
    {
        "id": "conn_8sQd0fWq2LzR5tYx",
        "label": "A rather long label of a shop",
        "airbyte_id": "9924bcd0-99be",
        "at": None,
    },
    {"id": "conn_2LzR5tYx8sQd0fWq", "label": "Shop", "airbyte_id": None, "at": "2026-04-01"},
]


def test_everything_is_shown_where_there_is_no_terminal() -> None:
    lines, left_out = lay_out(ROWS, None)

    assert lines == [
        "id                     label                          airbyte_id     at",
        "conn_8sQd0fWq2LzR5tYx  A rather long label of a shop  9924bcd0-99be  -",
        "conn_2LzR5tYx8sQd0fWq  Shop                           -              2026-04-01",
    ]
    assert left_out == []


def test_free_text_is_shortened_first() -> None:
    lines, left_out = lay_out(ROWS, 65)

    assert lines == [
        "id                     label            airbyte_id     at",
        "conn_8sQd0fWq2LzR5tYx  A rather long …  9924bcd0-99be  -",
        "conn_2LzR5tYx8sQd0fWq  Shop             -              2026-04-01",
    ]
    assert max(map(len, lines)) == 65
    assert left_out == []


def test_then_columns_that_can_be_spared_are_left_out_and_named() -> None:
    lines, left_out = lay_out(ROWS, 50)

    assert lines == [
        "id                     label            at",
        "conn_8sQd0fWq2LzR5tYx  A rather long …  -",
        "conn_2LzR5tYx8sQd0fWq  Shop             2026-04-01",
    ]
    assert left_out == ["airbyte_id"]


def test_columns_that_hold_nothing_go_before_those_that_say_something() -> None:
    rows = [{"id": "key_1", "expires_at": None, "revoked_at": "2026-04-01T03:04:05.678Z", "created_at": "2026"}]

    lines, left_out = lay_out(rows, 34)

    assert lines == ["id     revoked_at", "key_1  2026-04-01 03:04Z"]
    assert left_out == ["expires_at", "created_at"]


def test_the_first_column_is_never_left_out() -> None:
    lines, left_out = lay_out(ROWS, 5)

    assert lines == ["id", "conn_8sQd0fWq2LzR5tYx", "conn_2LzR5tYx8sQd0fWq"]
    assert left_out == ["label", "airbyte_id", "at"]


def test_a_list_is_told_by_its_items() -> None:
    lines, _ = lay_out([{"clients": ["acme", "globex"]}, {"clients": []}], None)

    assert lines == ["clients", "acme, globex", "-"]
