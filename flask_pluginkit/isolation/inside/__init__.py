"""What runs one plugin in its own process: imports nothing of the manager."""
