"""An API like Airbyte's, where each client finds an Airbyte of its own: programs made for Airbyte work with it."""
