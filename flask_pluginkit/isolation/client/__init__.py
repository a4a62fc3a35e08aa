"""The web worker's side: the connection to the supervisor, and those to plugins' workers."""
