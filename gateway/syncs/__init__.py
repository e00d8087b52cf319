"""What clients do with their connections: trigger syncs, read jobs, see the last sync."""
