"""What PostgreSQL is given in the place of SQL that is written for both databases."""

import re
from functools import lru_cache

CACHED_STATEMENTS = 1000
TOKEN = re.compile(r"'(?:[^']|'')*'|\?([0-9]*)|%")
LIST = re.compile(r"json_each\((\?[0-9]*)\)")


@lru_cache(CACHED_STATEMENTS)
def translate(sql: str) -> tuple[str, tuple[int, ...]]:
    """The statement with psycopg's placeholders, and which parameter stands for each of them."""
    order: list[int] = []

    def replace(token: re.Match[str]) -> str:
        if token[0].startswith("?"):
            order.append(int(token[1]) - 1 if token[1] else len(order))
            return "%s"
        return token[0].replace("%", "%%")

    with_lists = LIST.sub(r"jsonb_array_elements_text(CAST(\1 AS JSONB)) AS listed(value)", sql)
    return TOKEN.sub(replace, with_lists), tuple(order)
