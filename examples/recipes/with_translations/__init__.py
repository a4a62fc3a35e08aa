"""A host that speaks several languages, and a plugin that brings its own texts."""
