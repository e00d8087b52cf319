"""Programs written for Airbyte, as their makers publish them, against a gateway with two tenants."""
