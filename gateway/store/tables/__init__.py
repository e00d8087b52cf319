"""The statements about each kind of record, a module a table."""
