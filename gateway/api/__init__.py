"""HTTP in, HTTP out: one module for each kind of thing asked for."""
