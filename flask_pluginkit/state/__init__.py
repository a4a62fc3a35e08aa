"""The wanted state of plugins: what the operator asked for, and who remembers it."""
