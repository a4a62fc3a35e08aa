"""The confinement of one process: layers of the Linux kernel, and the proof that they hold.

For a fork of a clean interpreter, before it imports a plugin::

    report = confine(Policy(plugin="hello", code="/srv/hello", parent=zygote, canaries=canaries))
    verified = verify(report)

Each name is imported from its own module, so that the host needs none of those that only the
confined process does: `policy`, `confine` and `verification` are how it is done; `limits`,
`identity`, `namespaces`, `landlock` and `seccomp` are the layers; `probes` and `needs` try
them; `kernel` and `distributions` tell what can't be isolated. Nothing here needs Flask, or
anything of this package but its exceptions and texts.
"""
