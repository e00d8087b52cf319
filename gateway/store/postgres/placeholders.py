"""How psycopg marks parameters. The statements of this room mark them as SQLite does: `:name`."""

import re
from functools import lru_cache

CACHED_STATEMENTS = 1000
TOKEN = re.compile(r"'(?:[^']|'')*'|::|:([A-Za-z_]\w*)|%")
"""A text or a cast, which stay; a parameter; a percent sign."""


@lru_cache(CACHED_STATEMENTS)
def with_psycopg_placeholders(sql: str) -> str:
    """Return the statement with `%(name)s` for each `:name`, and with every `%` doubled, as psycopg wants it."""
    return TOKEN.sub(lambda token: f"%({token[1]})s" if token[1] else token[0].replace("%", "%%"), sql)
