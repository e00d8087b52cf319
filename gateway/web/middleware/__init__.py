"""Pure ASGI middleware, one file each. None keeps anything about a request on itself."""
