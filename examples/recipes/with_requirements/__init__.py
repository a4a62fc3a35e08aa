"""A host, and plugins of which one needs another."""
