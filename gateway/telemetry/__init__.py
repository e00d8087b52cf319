"""What the gateway tells of itself: log lines, metrics, event-loop lag."""
