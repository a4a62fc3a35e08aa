"""signal and cli: receivers of blinker's signals, and commands under ``flask <plugin>``."""

from __future__ import annotations

import logging
from contextvars import copy_context
from functools import partial

import click
import pytest
from blinker import Namespace
from click.testing import Result
from flask import appcontext_pushed, render_template_string, request_finished
from flask.cli import FlaskGroup, ScriptInfo
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

# ---- signals ---------------------------------------------------------------------------------

RECEIVERS = """
from flask import request_finished, template_rendered, got_request_exception

seen = []

def finished(sender, response, **values):
    seen.append(f"finished {sender.name} {response.status_code}")

def rendered(sender, template, context, **values):
    seen.append(f"rendered {template.name}")

def failed(sender, exception, **values):
    seen.append(repr(exception))
"""


def receiving(value: str, prelude: str = RECEIVERS) -> str:
    """A plugin with these receivers."""
    return f"{prelude}\ndef register():\n    return {{'signal': {value}}}\n"


@pytest.mark.parametrize("form", ["{request_finished: finished}", "[(request_finished, finished)]"])
def test_a_receiver_hears_a_signal_in_either_form(host: Host, form: str) -> None:
    """With the sender and the values that it was sent with."""
    host.plugin("a", receiving(form))
    host.start()
    host.get("/missing")
    assert host.module("a").seen == ["finished host 404"]


def test_several_receivers_hear_several_signals(host: Host) -> None:
    """One signal may have many of them."""
    host.plugin(
        "a",
        receiving(
            "[(request_finished, finished), (request_finished, finished),"
            " (template_rendered, rendered), (got_request_exception, failed)]"
        ),
    )

    @host.app.get("/")
    def index() -> str:
        return render_template_string("x") + str(1 // 0)

    host.start(strict=False)
    host.get("/")
    assert host.module("a").seen == [
        "rendered None",
        "ZeroDivisionError('integer division or modulo by zero')",
        *["finished host 500"] * 2,
    ]


def test_a_receiver_is_connected_once_however_often_is_published(host: Host) -> None:
    """Settling builds a second snapshot."""
    host.plugin("a", receiving("{request_finished: finished}"))
    host.start()
    host.get("/")
    _ = host.pm.conflicts
    host.get("/")
    assert len(host.module("a").seen) == 2


def test_receivers_of_all_plugins_are_called(host: Host) -> None:
    """Blinker promises no order, and neither do we."""
    for name in "abc":
        host.plugin(name, receiving("{request_finished: finished}"))
    host.start()
    host.get("/")
    assert [len(host.module(name).seen) for name in "abc"] == [1, 1, 1]


def test_a_signal_of_anyone_may_be_received(host: Host) -> None:
    """A sender that isn't an application may belong to any of them."""
    prelude = f"{RECEIVERS}\nfrom blinker import Namespace\nsignals = Namespace()\n"
    prelude += "def bought(sender, **values):\n    seen.append((sender, values))\n    return 'ok'\n"
    host.plugin("a", receiving("{signals.signal('bought'): bought}", prelude))
    host.start()
    signals: Namespace = host.module("a").signals
    answers = signals["bought"].send("apple", price=2)
    assert host.module("a").seen == [("apple", {"price": 2})]
    assert [answer for _receiver, answer in answers] == ["ok"]


def test_a_receiver_is_called_outside_of_requests_too(host: Host) -> None:
    """In commands and jobs the current snapshot counts."""
    prelude = "from flask import appcontext_pushed\nseen = []\n"
    host.plugin(
        "a", receiving("{appcontext_pushed: lambda sender, **v: seen.append(sender.name)}", prelude)
    )
    host.start()
    with host.app.app_context():
        pass
    assert appcontext_pushed.receivers
    assert host.module("a").seen[-1] == "host"


def test_a_failing_receiver_is_left_out(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The page was made already, and the other receivers hear the signal."""
    host.plugin("a", receiving("{request_finished: lambda sender, **v: 1 / 0}"))
    host.plugin("b", receiving("{request_finished: finished}"))
    host.app.add_url_rule("/", "index", lambda: "page")
    host.start(strict=False)
    with caplog.at_level(logging.ERROR):
        assert host.get("/") == "page"
    assert host.module("b").seen == ["finished host 200"]
    assert host.row("a").counts["signal request-finished"] == (1, 1)
    assert "plugin 'a'" in caplog.text


def test_a_disabled_plugin_hears_nothing(host: Host) -> None:
    """It isn't even imported."""
    before = len(request_finished.receivers)
    host.plugin("a", receiving("{request_finished: finished}"), state="disabled")
    host.start()
    host.get("/")
    # receivers of applications of other tests may go meanwhile
    assert len(request_finished.receivers) <= before


# ---- commands --------------------------------------------------------------------------------

COMMANDS = """
import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

@click.command()
@click.argument("number", type=int)
@click.option("--loud", is_flag=True)
def count(number, loud):
    \"\"\"Count something.\"\"\"
    click.echo(f"{current_app.name} {number}{'!' if loud else ''}")

@click.command("fail")
def fail():
    raise click.ClickException("no way")

@click.group()
def deep():
    pass

@deep.command()
def down():
    click.echo("deep down")

@click.command("rendering")
def rendering():
    from flask import render_template
    click.echo(render_template("mail.txt"))
"""


def commands(value: str) -> str:
    """A plugin with these commands."""
    return f"{COMMANDS}\ndef register():\n    return {{'cli': {value}}}\n"


def flask(host: Host, *arguments: str) -> Result:
    """What ``flask <arguments>`` does, with all of Flask's own commands."""
    info = ScriptInfo(create_app=lambda: host.app)
    group = FlaskGroup(create_app=lambda: host.app, add_version_option=False)
    invoke = partial(host.app.test_cli_runner().invoke, group, args=list(arguments), obj=info)
    # Flask 3.0.0 leaves its application context behind when a help text ends the command
    return copy_context().run(invoke)


@pytest.mark.parametrize("form", ["count", "[count]", "(count, fail)"])
def test_a_command_is_one_of_its_plugin(host: Host, form: str) -> None:
    """``flask shop count`` runs it in an application context, with arguments and options."""
    host.plugin("shop", commands(form))
    host.start()
    result = flask(host, "shop", "count", "3", "--loud")
    assert (result.output, result.exit_code) == ("host 3!\n", 0)
    assert host.pm.owner_of("command", "shop") == "shop"


def test_a_group_of_commands_nests_below_the_plugin(host: Host) -> None:
    """As Click nests them."""
    host.plugin("shop", commands("[deep, count]"))
    host.start()
    assert flask(host, "shop", "deep", "down").output == "deep down\n"


def test_help_lists_plugins_and_their_commands(host: Host) -> None:
    """An operator finds out what there is."""
    host.plugin("shop", commands("[count, fail]"))
    host.start()
    assert "Commands of the plugin shop." in flask(host, "--help").output
    assert "Count something." in flask(host, "shop", "--help").output


def test_errors_of_commands_are_clicks(host: Host) -> None:
    """Exit codes and usage messages as everywhere."""
    host.plugin("shop", commands("[count, fail]"))
    host.start()
    failed = flask(host, "shop", "fail")
    assert (failed.exit_code, failed.output) == (1, "Error: no way\n")
    assert flask(host, "shop", "count", "many").exit_code == 2
    assert "No such command 'nothing'" in flask(host, "shop", "nothing").output


def test_a_command_runs_as_its_plugin(host: Host) -> None:
    """Templates by bare name are the plugin's."""
    host.plugin("shop", commands("rendering"), files={"templates/mail.txt": "plugin's mail"})
    host.template("mail.txt", "host's mail")
    host.start()
    assert flask(host, "shop", "rendering").output == "plugin's mail\n"


def test_a_plugin_without_commands_is_no_command(host: Host) -> None:
    """Help would list empty groups."""
    host.plugin("shop", "def register():\n    return {}\n")
    host.start()
    assert "shop" not in host.app.cli.commands
    assert "shop" not in flask(host, "--help").output


def test_a_disabled_plugin_has_no_commands(host: Host) -> None:
    """As if they had never been."""
    host.plugin("shop", commands("count"), state="disabled")
    host.start()
    assert flask(host, "shop", "count", "1").exit_code == 2


@pytest.mark.parametrize("name", ["run", "shell", "routes"])
def test_a_plugin_that_is_called_like_a_command_of_flasks_has_none(host: Host, name: str) -> None:
    """Flask's own would be run in its place: so it is told as a conflict."""
    host.plugin("named", commands("count"), plugin_name=name)
    host.start(strict=False)
    (conflict,) = host.pm.conflicts
    assert (conflict.kind, conflict.name, conflict.winner, conflict.loser) == (
        "command",
        name,
        "the application",
        name,
    )
    assert host.pm.owner_of("command", name) is None
    assert "count" not in flask(host, name, "--help").output


def test_a_command_of_the_host_comes_before_a_plugin_of_that_name(host: Host) -> None:
    """Whether it was added before the manager was made, or after."""
    host.plugin("early", commands("count"))
    host.plugin("late", commands("count"))
    host.app.cli.command("early")(lambda: click.echo("host's early"))
    host.start(strict=False)
    host.app.cli.command("late")(lambda: click.echo("host's late"))
    assert flask(host, "early").output == "host's early\n"
    assert flask(host, "late").output == "host's late\n"
    assert [(c.kind, c.name) for c in host.pm.conflicts] == [
        ("command", "early"),
        ("command", "late"),
    ]


def test_the_commands_of_a_blueprint_and_a_plugin_of_its_name_are_a_conflict(host: Host) -> None:
    """Two plugins want ``flask shop``: the first one has it."""
    host.plugin(
        "a",
        """
        from flask import Blueprint
        blueprint = Blueprint("shop", __name__)
        blueprint.cli.command("stock")(lambda: print("stock"))
        def register():
            return {"bep": {"blueprint": blueprint, "prefix": None}}
        """,
    )
    host.plugin("shop", commands("count"))
    host.start(strict=False)
    assert flask(host, "shop", "stock").output == "stock\n"
    assert [(c.winner, c.loser) for c in host.pm.conflicts] == [("plugin 'a'", "shop")]
