"""Plugins in processes of their own: what is said to them, who starts them, who believes what.

`messages` and `wire` are the protocol; `processes` are supervisor, zygote and worker; `inside`
is what runs a plugin in its worker; `services` is what the supervisor does for plugins;
`answers` checks what they answer; the rest makes of an isolated plugin one like any other in
the host.
"""
