"""One client's worst beside another client: what it costs the other. See docs/fairness.md."""
