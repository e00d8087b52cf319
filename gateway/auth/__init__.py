"""Who may come in: keys, passwords, users, and the throttles on guessing."""
