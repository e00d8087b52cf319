"""The public API: a module of handlers for each kind of resource, and `openapi/`, the document about them."""
