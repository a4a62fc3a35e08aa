"""A host, and a plugin that has tables of its own."""
