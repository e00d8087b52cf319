"""Search for text in columns, in upper or lower case, whichever the database.

SQLite's lower() changes ASCII letters only, PostgreSQL's what its locale knows. So the text is compared with two
patterns, the query in small and in capital letters, in both of which ASCII letters are small.
"""


def contains(text: str) -> str:
    """Return the condition that `text`, an SQL expression of ours, contains the query of `patterns`."""
    return f"(lower({text}) LIKE :small ESCAPE '\\' OR lower({text}) LIKE :capital ESCAPE '\\')"


def patterns(query: str) -> dict[str, str]:
    """Return the parameters of `contains`. An empty query is contained in every text."""
    return {"small": _containing(query.lower()), "capital": _containing(query.upper())}


def _containing(query: str) -> str:
    """Return the pattern of LIKE for text that contains the query, with small ASCII letters.

    PostgreSQL takes no text with a NUL, and finds none.
    """
    small = query.replace("\0", "\ufffd").encode(errors="replace").lower().decode()
    escaped = small.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
