"""Files for the programs around the gateway: nginx, systemd, secret scanners."""
