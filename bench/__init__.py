"""What the gateway costs, as ratios to the least that could do its work. See README.md."""
