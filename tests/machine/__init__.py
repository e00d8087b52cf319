"""Tests on a machine of their own, with systemd as process 1."""
