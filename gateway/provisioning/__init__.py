"""What operators set up: clients, connections, keys."""
