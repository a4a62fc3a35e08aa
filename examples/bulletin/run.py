"""Serve the notice board on this machine, and tell what there is to try.

    python run.py [--port 5000] [--server gunicorn|waitress] [--workers 2]

Needs Flask-PluginKit, the plugins in `plugins` and gunicorn (or waitress, as on Windows) in this
Python. Ctrl-C, SIGINT or SIGTERM ends all processes; the exit code is 0, or 130 when it comes
before the server runs.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import os
import signal
import socket
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from flask import Flask

from bulletin import create_app

HOST: Final = "127.0.0.1"
WIDTH: Final = 80
PORTS_TO_TRY: Final = 50
HERE: Final = Path(__file__).resolve().parent


def main() -> int:
    """Start the application and serve it until somebody ends it."""
    options = _parse_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    listener = claim_port(options.port)
    app = create_app()
    print(overview(app, f"http://{HOST}:{listener.getsockname()[1]}"), flush=True)
    serve = serve_by_gunicorn if options.server == "gunicorn" else serve_by_waitress
    serve(app, listener, options.workers)
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the notice board on this machine.")
    parser.add_argument("--port", type=int, default=5000, help="the first port to try")
    parser.add_argument("--workers", type=int, default=2, help="processes of gunicorn")
    parser.add_argument("--server", choices=["gunicorn", "waitress"], default=_best_server())
    return parser.parse_args()


def _best_server() -> str:
    """Return ``gunicorn`` where it can run: it needs fork, which Windows doesn't have."""
    runs_here = sys.platform != "win32" and importlib.util.find_spec("gunicorn") is not None
    return "gunicorn" if runs_here else "waitress"


def claim_port(first: int) -> socket.socket:
    """Return a listening socket on the first free port from `first` on.

    The servers get the socket itself, so that nobody can take the port in between.
    """
    for port in range(first, first + PORTS_TO_TRY):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there it would share a port that is taken
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            return listener
    sys.exit(f"No free port from {first} to {first + PORTS_TO_TRY - 1}: give another by --port.")


def serve_by_gunicorn(app: Flask, listener: socket.socket, workers: int) -> None:
    """Serve by several processes; returns when they have ended."""
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {
                "bind": f"fd://{listener.detach()}",
                "workers": workers,
                # Browsers open connections before they need them, and each takes a thread.
                "worker_class": "gthread",
                "threads": 16,
                "preload_app": True,
                "when_ready": _take_term_for_int,
                "post_worker_init": _leave_at_once,
                "graceful_timeout": 3,
                "loglevel": "error",
                "control_socket_disable": True,
            }
            for name, value in settings.items():
                if name in self.cfg.settings:  # older versions don't know all of them
                    self.cfg.set(name, value)

        def load(self) -> Flask:
            return app

    try:
        Server().run()
    except SystemExit as ended:  # how gunicorn says that it was told to end
        if ended.code:
            raise


def _take_term_for_int(_server: object) -> None:
    """Make SIGTERM end gunicorn as SIGINT does, without waiting for open connections."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))


def _leave_at_once(_worker: object) -> None:
    """Make signals end this worker, whatever connections browsers hold open.

    A terminal sends Ctrl-C to all processes, and the first process tells its workers once more:
    gunicorn's own handler can then interrupt itself and wait for a lock that it holds.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))


def serve_by_waitress(app: Flask, listener: socket.socket, _workers: int) -> None:
    """Serve by one process with several threads; returns when it was told to end."""
    import waitress  # type: ignore[import-untyped]

    waitress.serve(app, sockets=[listener], threads=8)


def overview(app: Flask, address: str) -> str:
    """Return what to know about the running application, in lines of up to 80 characters."""
    plugins = app.extensions["pluginkit"].plugins
    return "\n".join(
        [
            "",
            f"  {app.config['BOARD_NAME']}: {app.config['BOARD_TAGLINE']}",
            f"  {address}",
            "",
            *_plugin_table(plugins),
            "",
            "  What to try:",
            *_bullets(_suggestions(app, address)),
            "",
            "  Ctrl-C ends it.",
            "",
        ]
    )


def _plugin_table(plugins: Iterable[Any]) -> list[str]:
    lines = [f"  {'Plugin':<14}{'Version':<10}{'Status':<14}Reason"]
    for plugin in plugins:
        start = f"  {plugin.name:<14}{plugin.version:<10}{plugin.status:<14}"
        reason = textwrap.wrap(str(plugin.reason or ""), WIDTH - len(start)) or [""]
        lines.append((start + reason[0]).rstrip())
        lines.extend(" " * len(start) + more for more in reason[1:])
    return lines


def _suggestions(app: Flask, address: str) -> list[str]:
    # not resolve(): the Python of a virtual environment is a link to that of the system
    flask = _shown_path(Path(sys.executable).with_name("flask"))
    board = _shown_path(HERE / "bulletin")
    command = f"{flask} --app {board} plugins"
    closed = _shown_path(Path(app.instance_path) / "maintenance.txt")
    return [
        'Sign in as "demo" with the password "demo", and pin a notice.',
        f"Search for bicycle or 饺子: {address}/search/?q=bicycle",
        f"Read it elsewhere: {address}/feed.atom or {address}/api/notices",
        f"Close the board and open it: touch {closed}; rm {closed}",
        f"Switch a plugin off, and click on in a page that is open: {command} disable search",
        f"Bring it back, in every worker: {command} enable search",
    ]


def _shown_path(path: Path) -> str:
    """Return the shorter of the absolute and the relative path."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _bullets(texts: Iterable[str]) -> list[str]:
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            text,
            WIDTH,
            initial_indent="   - ",
            subsequent_indent="     ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
