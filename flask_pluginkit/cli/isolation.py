"""Commands for plugins in processes of their own."""

from __future__ import annotations

import time
from contextlib import suppress

import click

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.text import clean

from .host import complete_names, find_manager, known_names, refusals, tell, with_host
from .tables import aligned, say, terminal_width


@click.command("isolate")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_names)
@click.option(
    "--level",
    type=click.Choice(["isolated", "process", "trusted", "configured"]),
    default="isolated",
    show_default=True,
    help="Where they are to run; 'configured' is what the application says.",
)
@with_host
def isolate(names: tuple[str, ...], level: str) -> None:
    """Let plugins run in processes of their own.

    From the next request on, in every worker.
    """
    with refusals():
        manager = find_manager()
        known = known_names(manager, names)
        chosen = None if level == "configured" else level
        tell(known, level, manager.isolate_plugin(*known, level=chosen))


@click.command("approve")
@click.argument("name", shell_complete=complete_names)
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_host
def approve(name: str, yes: bool) -> None:
    """Show what an isolated plugin asks for, and grant it."""
    from flask_pluginkit.permissions import words

    with refusals():
        manager = find_manager()
        [known] = known_names(manager, [name])
        asked = manager.asked_of(known)
        for text in asked:
            click.echo(f"{known} {words(text)} ({text})")
        if not asked:
            click.echo(f"{known} asks for nothing")
        elif yes or click.confirm("Grant all of this?"):
            if manager.asked_of(known) != asked:  # its files were replaced while one thought
                raise PluginError(f"{known} asks for something else by now: look at it again")
            manager.approve_plugin(known)
            click.echo(f"{known}: granted")
        else:
            raise click.exceptions.Exit(1)


@click.command("revoke")
@click.argument("name", shell_complete=complete_names)
@click.option("--forget", is_flag=True, help="Remove what it stored, too.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_host
def revoke(name: str, forget: bool, yes: bool) -> None:
    """Take back what an isolated plugin was granted.

    From the next request on, in every worker. The plugin may be gone.
    """
    with refusals():
        manager = find_manager()
        for left in manager.left_of(name) if forget else ():
            say(f"{name}: {left.what}: {left.files} files in {clean(left.folder, 2000)}")
        if forget and not yes and not click.confirm("Remove all of this for good?"):
            raise click.exceptions.Exit(1)
        gone = manager.revoke_plugin(name, forget=forget)
        say(f"{name}: {', '.join(('revoked', *gone)) if gone else 'nothing was granted'}")


@click.command("processes")
@with_host
def processes() -> None:
    """List the processes of plugins that aren't trusted."""
    with refusals():
        found = find_manager().plugin_processes()
    if not found:
        click.echo("no plugin has a process of its own")
        return
    cells: list[tuple[str, ...]] = [
        ("NAME", "LEVEL", "STATE", "PID", "UID", "MEMORY", "REASON"),
    ]
    for one in found:
        layers = ", ".join(one.layers)
        remark = one.reason or (f"confined by {layers}" if layers else "not sandboxed")
        memory = f"{one.memory / 1e6:.1f} MB"
        row = (one.plugin, one.level, one.state, str(one.pid), str(one.uid), memory, remark)
        cells.append(tuple(clean(cell, 2000) for cell in row))
    for line in aligned(cells, terminal_width()):
        say(line)


@click.command("serve")
@with_host
def serve() -> None:
    """Keep the supervisor of plugins' processes running.

    Until this is interrupted. Web workers start it when they need it; this keeps it, for a
    service manager to watch.
    """
    with refusals():
        manager = find_manager()
    click.echo("the supervisor runs; interrupt to let go of it", err=True)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(10)
            with refusals():
                manager.plugin_processes()
