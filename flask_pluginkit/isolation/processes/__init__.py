"""The supervisor, the zygote and the plugins' workers: what starts, watches and ends them."""
