"""{{ cookiecutter.description.rstrip('.') }}."""

from __future__ import annotations

{% if cookiecutter.cli %}
import click
{% endif %}
{% if cookiecutter.hooks and cookiecutter.views %}
from flask import Response, render_template, request
{% elif cookiecutter.views %}
from flask import render_template, request
{% elif cookiecutter.hooks %}
from flask import Response
{% endif %}
from flask_pluginkit import Plugin

__plugin_name__ = "{{ cookiecutter.name }}"
__version__ = "0.1.0"
__author__ = "{{ cookiecutter.author }}"
__description__ = "{{ cookiecutter.description }}"
__license__ = "{{ cookiecutter.__spdx }}"
{% if cookiecutter.hooks and cookiecutter.isolated_ready %}
# What this needs where it isn't trusted: an operator is asked for it.
__permissions__ = ["responses"]
{% endif %}

plugin = Plugin(__name__{% if cookiecutter.views %}, url_prefix="/{{ cookiecutter.name }}"{% endif %})
register = plugin.register


@plugin.filter("{{ cookiecutter.name }}_greeting")
def greeting(name: str) -> str:
    """Greet somebody; in templates: ``{{ '{{' }} "Ada" | {{ cookiecutter.name }}_greeting {{ '}}' }}``."""
    return f"Hello, {name}!"
{% if cookiecutter.views %}


@plugin.get("/")
def index() -> str:
    """Serve the plugin's page; with ``?name=Ada`` it greets Ada."""
    return render_template("index.html", name=request.args.get("name", "world"))
{% endif %}
{% if cookiecutter.tep %}


# A part of the application's pages, wherever a template of it says {{ '{{' }} emit_tep("nav") {{ '}}' }}.
plugin.add_tep("nav", "nav.html", order=50)
{% endif %}
{% if cookiecutter.hooks %}


@plugin.after_request
def sign(response: Response) -> Response:
    """Add a header to every response of the application."""
    response.headers["X-Plugin-{{ cookiecutter.__title }}-Version"] = __version__
    return response
{% endif %}
{% if cookiecutter.cli %}


{% if cookiecutter.isolated_ready %}
# pluginkit: ignore[PK409] operators have it where the plugin is trusted
{% endif %}
@plugin.cli.command("greet")
@click.argument("name", default="world")
def greet(name: str) -> None:
    """Greet NAME in the terminal: ``flask {{ cookiecutter.name }} greet Ada``."""
    click.echo(greeting(name))
{% endif %}
