"""A script for each client, run in its own environment: nothing of ours is imported but what stands here."""
