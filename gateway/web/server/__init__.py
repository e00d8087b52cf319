"""From a socket to the application: HTTP/1.1 with deadlines, limits and early responses."""
