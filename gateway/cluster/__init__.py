"""What several gateways share, and what each does alone while the others cannot be asked."""
