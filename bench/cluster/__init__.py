"""What several gateways on one PostgreSQL and one Valkey do and cost, and what follows for planning. See README.md."""
